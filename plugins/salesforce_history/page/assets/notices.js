// What is said while there is no answer, or none to be had: what happened, and what to do.
import { html } from "./html.js";
import { loginUrl, Out } from "./links.js";

export function Loading({ what = "Loading" }) {
  return html`<div class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${what} …</div>`;
}

/** `alone`: the notice is all there is of its view, so its heading is the page's. */
export function Notice({ kind = "info", heading, children, action, alone = false }) {
  return html`<section class=${`notice notice-${kind}`} role=${kind === "error" ? "alert" : "status"}>
    <span class="notice-mark" aria-hidden="true">${kind === "error" ? "!" : "i"}</span>
    <div class="notice-text">
      ${alone ? html`<h1>${heading}</h1>` : html`<h2>${heading}</h2>`}
      <div>${children}</div>
      ${action && html`<p class="notice-action">${action}</p>`}
    </div>
  </section>`;
}

const HEADINGS = {
  refused: "This cannot be asked",
  missing: "There is nothing to show",
  lake: "The lake cannot be reached",
  broken: "No answer",
};

export function Problem({ problem, again, alone = false }) {
  if (problem.kind === "session") {
    return html`<${Notice}
      kind="error"
      alone=${alone}
      heading="Your Airflow session has ended"
      action=${html`<${Out} href=${loginUrl()} class="button button-solid">Log in<//>`}
      ><p>Log in to Airflow again; you come back to this page.</p><//
    >`;
  }
  const action = again && html`<button class="button" type="button" onClick=${again}>Try again</button>`;
  return html`<${Notice} kind="error" alone=${alone} heading=${HEADINGS[problem.kind] ?? HEADINGS.broken} action=${action}>
    <p>${problem.message}</p>
    ${problem.remedy && html`<p><strong>What to do:</strong> ${problem.remedy}</p>`}
  <//>`;
}

/** The state of the lake as the overview tells it, where it is not ready. */
export function LakeNotice({ lake, objects, again, alone = false }) {
  const dag = objects[0];
  if (lake.state === "unreachable") {
    const action = html`<button class="button" type="button" onClick=${again}>Try again</button>`;
    return html`<${Notice} kind="error" alone=${alone} heading="The lake cannot be reached" action=${action}>
      <p>${lake.message}</p>
      ${lake.remedy && html`<p><strong>What to do:</strong> ${lake.remedy}</p>`}
    <//>`;
  }
  const action = dag && html`<${Out} href=${dag.dag_url} class="button button-solid">Open ${dag.dag_id}<//>`;
  return html`<${Notice} heading="There is no history yet" action=${action}>
    <p>${lake.message ?? "No pipeline has published anything."}</p>
    <p><strong>What to do:</strong> ${lake.remedy ?? "Switch a pipeline on in Airflow, or trigger it. Its first run reads everything there is."}</p>
  <//>`;
}
