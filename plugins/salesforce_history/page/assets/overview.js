// Overview: can the data be trusted? A card an object.
import { ask, useAnswer } from "./api.js";
import { ago, duration, many, millis, number, percent, stamp, title, When } from "./format.js";
import { html } from "./html.js";
import { Out } from "./links.js";
import { LakeNotice, Loading, Notice, Problem } from "./notices.js";
import { hashOf } from "./routes.js";
import { ChangesPerRun, moment, RecordCount } from "./run_charts.js";
import { Table } from "./tables.js";

export function Overview() {
  const { answer, problem, loading, again } = useAnswer("overview", (signal) => ask(["overview"], {}, signal));
  if (problem) return html`<${Problem} problem=${problem} again=${again} alone />`;
  if (!answer) return html`<${Loading} what="Reading the lake" />`;
  return html`<div>
    <div class="view-head">
      <h1>Overview</h1>
      <p class="muted">
        <span class="badge">${answer.environment}</span> as of ${stamp(Math.floor(millis(answer.now) / 1000) * 1000)} UTC
        <button class="button button-small" type="button" onClick=${again} disabled=${loading}>${loading ? "Reading …" : "Refresh"}</button>
        ${answer.docs && html`<${Out} href=${answer.docs} away class="button button-small">dbt docs<//>`}
      </p>
    </div>
    ${(answer.problems ?? []).map(
      (wrong) =>
        html`<${Notice} key=${wrong.error} kind="error" heading="An object file is wrong"
          ><p>${wrong.error}</p>
          ${wrong.remedy && html`<p><strong>What to do:</strong> ${wrong.remedy}</p>`}<//
        >`,
    )}
    ${answer.lake.state !== "ready" && html`<${LakeNotice} lake=${answer.lake} objects=${answer.objects} again=${again} />`}
    ${
      answer.lake.state !== "unreachable" &&
      sorted(answer.objects).map((object) => html`<${ObjectCard} key=${object.noun} object=${object} now=${millis(answer.now)} />`)
    }
  </div>`;
}

/** Objects with data first: that is what people come for. */
function sorted(objects) {
  return [...objects].sort((one, other) => (one.freshness.state === "empty") - (other.freshness.state === "empty"));
}

/** By the end of what they read: a backfill of last year is drawn before this week's runs, whenever it ended. */
function inOrder(runs) {
  return [...runs].sort((one, other) => moment(one) - moment(other));
}

function Freshness({ freshness }) {
  const { state, late_by_seconds: late } = freshness;
  if (state === "empty") return html`<span class="badge badge-idle">○ No data yet</span>`;
  if (state === "late") return html`<span class="badge badge-bad">▲ Late${late ? ` by ${duration(late)}` : ""}</span>`;
  return html`<span class="badge badge-good">● Fresh</span>`;
}

export function State({ state }) {
  const kinds = { success: "badge-good", failed: "badge-bad", running: "badge-busy", queued: "badge-idle" };
  const marks = { success: "✓", failed: "✕", running: "▸", queued: "…" };
  return html`<span class=${`badge ${kinds[state] ?? "badge-idle"}`}>${marks[state] ?? "○"} ${state}</span>`;
}

function Stat({ label, value, detail, href, bad = false }) {
  const shown = href ? html`<a href=${href}>${value}</a>` : value;
  return html`<div class=${`stat ${bad ? "stat-bad" : ""}`}>
    <dt>${label}</dt>
    <dd><span class="stat-value">${shown}</span>${detail && html`<span class="stat-detail">${detail}</span>`}</dd>
  </div>`;
}

function ObjectCard({ object, now }) {
  const { noun, freshness, last_run: last, runs, expected, deadlines_missed: missed, open_failures: failures } = object;
  const watermark = millis(freshness.watermark);
  const recorded = inOrder(runs.filter((run) => run.state));
  const live = object.live_records;
  const outside = expected && typeof live === "number" && (live < expected.minimum || live > expected.maximum);
  return html`<section class="card" aria-labelledby=${`object-${noun}`}>
    <header class="card-head">
      <div>
        <h2 id=${`object-${noun}`}>${object.object} <${Freshness} freshness=${freshness} /></h2>
        <p class="muted">
          <${Out} href=${object.dag_url}>${object.dag_id}<//> · ${object.schedule.replaceAll("_", " ")} · keeps the history of ${object.tracked.map(title).join(", ")}
        </p>
      </div>
      ${
        freshness.state !== "empty" &&
        html`<nav class="card-links" aria-label=${`${object.object} in detail`}>
        <a class="button" href=${hashOf("record", noun)}>Records</a>
        <a class="button" href=${hashOf("changes", noun)}>Changes</a>
        <a class="button" href=${hashOf("quarantine", noun)}>Quarantine</a>
      </nav>`
      }
    </header>
    ${
      object.problem &&
      html`<${Notice} kind="error" heading="This object cannot be shown"
      ><p>${object.problem.error}</p>
      ${object.problem.remedy && html`<p><strong>What to do:</strong> ${object.problem.remedy}</p>`}<//
    >`
    }
    ${failures.length > 0 && html`<${Failures} failures=${failures} />`}
    ${freshness.state === "empty" && !last && html`<p class="card-foot muted">No run has published anything yet. Switch the pipeline on, or trigger it.</p>`}
    ${
      (freshness.state !== "empty" || last) &&
      html`<dl class="stats">
      <${Stat}
        label="Last run"
        value=${last ? html`<${State} state=${last.state} />` : "none"}
        detail=${last && html`<${Out} href=${last.url}>${last.finished_at ? ago(millis(last.finished_at), now) : "running"}<//>, ${last.kind}`}
      />
      <${Stat}
        label="Read up to (watermark)"
        value=${watermark ? stamp(watermark, { seconds: false }) : "–"}
        detail=${watermark && `UTC, ${ago(watermark, now)}, allowed ${duration(freshness.allowed_seconds ?? 0)}`}
        bad=${freshness.state === "late"}
      />
      <${Stat}
        label="Records now"
        value=${number(live)}
        detail=${expected ? `expected ${number(expected.minimum)} to ${number(expected.maximum)}` : null}
        bad=${outside}
      />
      <${Stat}
        label="Versions"
        value=${number(object.versions)}
        detail=${`of ${many(object.current_records ?? 0, "record")}, ${number(object.deleted_records ?? 0)} deleted`}
      />
      <${Stat}
        label="Quarantined"
        value=${number(object.quarantined)}
        href=${object.quarantined ? hashOf("quarantine", noun) : null}
        bad=${object.quarantined > 0}
        detail=${object.quarantined ? "see the reasons" : "nothing refused"}
      />
      <${Stat}
        label="Quality score"
        value=${percent(object.quality_score)}
        bad=${typeof object.quality_score === "number" && object.quality_score < 95}
        detail="of the last run"
      />
      <${Stat}
        label="API usage"
        value=${percent(object.api_usage_percent)}
        bad=${object.api_usage_percent >= 80}
        detail="of the org's daily limit"
      />
    </dl>`
    }
    ${last?.error && html`<p class="card-error"><strong>The last run failed:</strong> ${last.error}</p>`}
    ${
      recorded.length > 0 &&
      html`<div class="charts">
      <${ChangesPerRun} runs=${recorded} />
      <${RecordCount} runs=${recorded} expected=${expected} />
    </div>`
    }
    ${freshness.state !== "empty" && html`<${Deadlines} missed=${missed} object=${object.object} />`}
  </section>`;
}

function Failures({ failures }) {
  return html`<ul class="failures">
    ${failures.map(
      (failure) => html`<li key=${failure.run_id + failure.subject}>
        <span class="badge badge-bad">✕ open</span> <span><${Out} href=${failure.url}>${failure.subject}<//></span>
        <span class="muted">since <${When} at=${failure.opened_at} seconds=${false} age=${true} /></span>
      </li>`,
    )}
  </ul>`;
}

const DEADLINE_COLUMNS = [
  { head: "Deadline", row: true, cell: (row) => html`<${Out} href=${row.url}>${row.subject}<//>` },
  { head: "Missed", cell: (row) => html`<${When} at=${row.opened_at} seconds=${false} age=${true} />` },
  {
    head: "Resolved",
    cell: (row) =>
      row.resolved_at ? html`<${When} at=${row.resolved_at} seconds=${false} />` : html`<span class="badge badge-bad">▲ open</span>`,
  },
];

function Deadlines({ missed, object }) {
  if (!missed.length) return html`<p class="muted card-foot">✓ No deadline missed.</p>`;
  return html`<div class="card-foot">
    <h3>Deadlines missed</h3>
    <${Table} caption=${`Deadlines missed by ${object}`} columns=${DEADLINE_COLUMNS} rows=${missed} />
  </div>`;
}
