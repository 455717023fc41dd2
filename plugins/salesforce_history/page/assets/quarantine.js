// Quarantine: what was refused, why, and how it comes in.
import { usePages } from "./api.js";
import { many, number, When } from "./format.js";
import { html } from "./html.js";
import { Out } from "./links.js";
import { Loading, Problem } from "./notices.js";
import { go, hashOf } from "./routes.js";
import { More } from "./tables.js";

const NOTHING = "✓ Nothing is in quarantine: every record that was read is in the history.";

export function Quarantine({ object, route, chooser }) {
  const { reason = null, state = null } = route.query;
  const parameters = { reason, state };
  const pages = usePages(JSON.stringify([object.noun, parameters]), { path: [object.noun, "quarantine"], parameters, list: "entries" });
  const { first } = pages;
  const change = (more) => go(hashOf("quarantine", object.noun, null, { ...parameters, ...more }));
  const filtered = reason !== null || state !== null;
  return html`<div>
    <div class="view-head"><h1>${object.object} quarantine</h1>${chooser}</div>
    <p class="muted">Records that broke a rule of the object file were not brought into the history. They wait here.</p>
    ${pages.problem && html`<${Problem} problem=${pages.problem} again=${pages.again} />`}
    ${!first && !pages.problem && html`<${Loading} what="Reading the quarantine" />`}
    ${
      first &&
      html`<div class=${pages.loading ? "stale" : ""}>
      <div class="two">
        <${Counts} heading="Reasons" counts=${first.reasons} chosen=${reason} choose=${(one) => change({ reason: one })} />
        <${Counts} heading="States" counts=${first.states} chosen=${state} choose=${(one) => change({ state: one })} />
      </div>
      ${
        pages.items.length === 0
          ? html`<p class="nothing">${filtered ? "No record is here for this filter." : NOTHING}</p>`
          : html`<${Replay} replay=${first.replay} />
            <h2>${many(first.total ?? pages.items.length, "record")}</h2>
            <ul class="entries">
              ${pages.items.map((entry, index) => html`<${Entry} key=${`${entry.id} ${entry.first_seen} ${index}`} entry=${entry} noun=${object.noun} />`)}
            </ul>
            <${More} pages=${pages} total=${first.total} one="record" />`
      }
    </div>`
    }
  </div>`;
}

function Counts({ heading, counts, chosen, choose }) {
  if (!Object.keys(counts).length) return null;
  const most = Math.max(1, ...Object.values(counts));
  return html`<section class="counts" aria-labelledby=${`counts-${heading}`}>
    <h2 id=${`counts-${heading}`}>${heading}</h2>
    <ul>
      ${Object.entries(counts)
        .sort(([, one], [, other]) => other - one)
        .map(
          ([name, count]) => html`<li key=${name}>
            <button type="button" class="count" aria-pressed=${chosen === name} onClick=${() => choose(chosen === name ? null : name)}>
              <span class="count-name"><bdi>${name}</bdi></span>
              <span class="count-bar" aria-hidden="true"><span style=${{ width: `${(count / most) * 100}%` }}></span></span>
              <span class="count-number">${number(count)}</span>
            </button>
          </li>`,
        )}
    </ul>
  </section>`;
}

function Replay({ replay }) {
  return html`<section class="card replay" aria-labelledby="replay">
    <h2 id="replay">How to bring them in</h2>
    <ol>
      <li>Correct the record in Salesforce: the next run reads it by itself. Or correct the rule in the object file, if the record is right.</li>
      <li>
        After a changed rule, trigger <${Out} href=${replay.trigger_url}>${replay.dag_id}<//> with${" "}
        <code>${replay.param}</code> switched on${replay.command && html`, or run <code>${replay.command}</code>`}.${" "}
        What the object file accepts by now is brought into the history.
      </li>
    </ol>
  </section>`;
}

/** JSON as it was read, indented where it is JSON. */
function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function Entry({ entry, noun }) {
  return html`<li class="entry">
    <div class="entry-head">
      <strong>${entry.id ? html`<a href=${hashOf("record", noun, null, { q: entry.id })}><code>${entry.id}</code></a>` : "without an Id"}</strong>
      <span class="badge">${entry.state}</span>
      <span class="muted">
        seen ${entry.times_seen === 1 ? "once" : `${number(entry.times_seen)} times`}, last${" "}
        <${When} at=${entry.last_seen} seconds=${false} age=${true} />
      </span>
    </div>
    <p class="reasons"><bdi>${entry.reasons}</bdi></p>
    ${entry.note && html`<p class="muted"><bdi>${entry.note}</bdi></p>`}
    <details>
      <summary>The record as it was read<span class="hidden"> (${entry.id})</span></summary>
      <p class="muted">First seen <${When} at=${entry.first_seen} seconds=${false} /></p>
      <pre tabindex="0"><code>${readable(entry.record)}</code></pre>
    </details>
  </li>`;
}
