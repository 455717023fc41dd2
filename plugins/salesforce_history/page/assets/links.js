// Links out of the page. Airflow's frame is sandboxed (no top navigation, no pop-ups, no downloads), but of the same origin: a link is
// therefore followed by Airflow's own document, as if it were in Airflow's page.
import { html } from "./html.js";

function outside() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null;
  }
}

function follow(event, { download }) {
  const outer = outside();
  if (!outer || event.button > 1) return;
  event.preventDefault();
  const anchor = outer.createElement("a");
  anchor.href = event.currentTarget.href;
  if (download) anchor.download = "";
  else if (event.currentTarget.target === "_blank" || event.ctrlKey || event.metaKey || event.shiftKey || event.button === 1) {
    anchor.target = "_blank";
    anchor.rel = "noopener noreferrer";
  }
  outer.body.append(anchor);
  anchor.click();
  anchor.remove();
}

/** Only addresses that a browser opens as pages: data may hold anything, `javascript:` too. */
function isPage(href) {
  try {
    return ["http:", "https:"].includes(new URL(href, window.location.href).protocol);
  } catch {
    return false;
  }
}

/** A link into Airflow, which opens in the whole window; `away` opens a tab of its own (Salesforce, docs). */
export function Out({ href, children, away = false, download = false, ...rest }) {
  if (!href || !isPage(href)) return html`<span ...${rest}>${children}</span>`;
  const act = (event) => follow(event, { download });
  return html`<a
    href=${href}
    target=${away ? "_blank" : "_top"}
    rel=${away ? "noopener noreferrer" : undefined}
    download=${download ? "" : undefined}
    onClick=${act}
    onAuxClick=${act}
    ...${rest}
    >${children}${away && html`<span class="hidden">, opens a new tab</span><span aria-hidden="true"> ↗</span>`}</a
  >`;
}

/** Airflow's way to a login; it asks whichever auth manager is at work, and comes back to the page. */
export function loginUrl() {
  const url = new URL("../../api/v2/auth/login", import.meta.url);
  let back = window.location.href;
  try {
    back = window.parent.location.href;
  } catch {
    // framed by a page of another origin: come back to the page itself
  }
  url.searchParams.set("next", back);
  return url.href;
}
