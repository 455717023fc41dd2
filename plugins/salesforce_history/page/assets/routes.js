// Views by hash: #/overview, #/record/user/0055e…?at=…, #/changes/user?field=…, #/quarantine/user.
import { useEffect, useState } from "./html.js";

export const VIEWS = { overview: "Overview", record: "Records", changes: "Changes", quarantine: "Quarantine" };

export function hashOf(view, noun, id, query = {}) {
  const parts = [view, noun, id].filter(Boolean).map(encodeURIComponent);
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const tail = new URLSearchParams(kept).toString();
  return `#/${parts.join("/")}${tail ? `?${tail}` : ""}`;
}

export function parse(hash) {
  const [path, tail = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, noun = null, id = null] = path.split("/").map(decoded);
  const query = Object.fromEntries(new URLSearchParams(tail));
  return Object.hasOwn(VIEWS, view) ? { view, noun, id, query } : { view: "overview", noun: null, id: null, query: {} };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function go(hash) {
  window.location.hash = hash;
}

/** Change the address without a step in the browser's history. */
export function settle(hash) {
  window.history.replaceState(null, "", hash);
  mirror();
}

// Inside Airflow, the address bar is Airflow's: it carries our hash, so that a reload or a link comes back to this view.
function mirror() {
  try {
    if (window.parent === window) return;
    const { history, location } = window.parent;
    history.replaceState(history.state, "", `${location.pathname}${location.search}${window.location.hash}`);
  } catch {
    // framed by a page of another origin, which keeps its address
  }
}

function adopt() {
  try {
    const outer = window.parent === window ? "" : window.parent.location.hash;
    if (!window.location.hash && outer.startsWith("#/")) window.history.replaceState(null, "", outer);
  } catch {
    // framed by a page of another origin
  }
}

adopt();
mirror();

export function useRoute() {
  const [route, setRoute] = useState(() => parse(window.location.hash));
  useEffect(() => {
    const changed = () => {
      mirror();
      setRoute(parse(window.location.hash));
    };
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}
