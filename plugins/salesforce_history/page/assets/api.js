// Questions to the back end, and what can be said where it has no answer.
import { useEffect, useState } from "./html.js";

const BASE = new URL("../api/", import.meta.url);

/** An answer that is not one; `kind` is session, refused, missing, lake or broken. */
export class NoAnswer extends Error {
  constructor(kind, message, remedy) {
    super(message);
    this.kind = kind;
    this.remedy = remedy;
  }
}

const KINDS = { 400: "refused", 401: "session", 403: "session", 404: "missing", 503: "lake" };

/** Where an answer is; parameters that are null, undefined or an empty list are left out. */
export function urlOf(path, parameters = {}) {
  const url = new URL(path.map(encodeURIComponent).join("/"), BASE);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

export async function ask(path, parameters, signal) {
  let response;
  try {
    response = await fetch(urlOf(path, parameters), { signal, credentials: "same-origin", headers: { accept: "application/json" } });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new NoAnswer("broken", "Airflow's API server did not answer.", "Is it running? Try again in a moment.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const kind = KINDS[response.status] ?? "broken";
  throw new NoAnswer(
    kind,
    text(body?.error) ?? text(body?.detail) ?? `The server answered ${response.status}.`,
    text(body?.remedy) ?? (kind === "broken" ? "Try again. If it stays so, the log of Airflow's API server says why." : null),
  );
}

const text = (value) => (typeof value === "string" && value ? value : null);

/**
 * An answer as state: {answer, of, problem, loading, again}. While a further question runs, the answer before stays; `of` is the key it answers.
 * `key` says when to ask anew; null asks nothing.
 */
export function useAnswer(key, question) {
  const [state, setState] = useState({ key: null, answer: null, problem: null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (key === null) return undefined;
    const stop = new AbortController();
    question(stop.signal).then(
      (answer) => setState({ key, answer, problem: null }),
      (problem) => problem.name !== "AbortError" && setState({ key, answer: null, problem }),
    );
    setState((before) => ({ ...before, problem: null }));
    return () => stop.abort();
  }, [key, round]);
  return {
    answer: key === null ? null : state.answer,
    problem: key === null ? null : state.problem,
    of: state.key,
    loading: key !== null && state.key !== key,
    again: () => {
      setState((before) => ({ ...before, key: null, problem: null }));
      setRound(round + 1);
    },
  };
}

/** A list that comes page by page: {items, first, more, total…}; `more()` fetches the next page, if there is one. */
export function usePages(key, { path, parameters = {}, list, start = null }) {
  const [state, setState] = useState({ key: null, first: null, items: [], next: null, problem: null, busy: false });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (key === null) return undefined;
    if (start) {
      setState({ key, first: start.first, items: start.items, next: start.next, problem: null, busy: false });
      return undefined;
    }
    const stop = new AbortController();
    ask(path, parameters, stop.signal).then(
      (first) => setState({ key, first, items: first[list], next: first.next, problem: null, busy: false }),
      (problem) => problem.name !== "AbortError" && setState({ key, first: null, items: [], next: null, problem, busy: false }),
    );
    return () => stop.abort();
  }, [key, round]);

  async function more() {
    setState((before) => ({ ...before, busy: true, problem: null }));
    try {
      const page = await ask(path, { ...parameters, page: state.next });
      setState((before) =>
        before.key === key ? { ...before, items: [...before.items, ...page[list]], next: page.next, busy: false } : before,
      );
    } catch (problem) {
      setState((before) => (before.key === key ? { ...before, problem, busy: false } : before));
    }
  }

  const again = () => {
    setState((before) => ({ ...before, key: null, problem: null }));
    setRound(round + 1);
  };
  const known = start && state.key !== key ? { ...state, key, first: start.first, items: start.items, next: start.next } : state;
  return { ...known, loading: key !== null && known.key !== key, more, again };
}
