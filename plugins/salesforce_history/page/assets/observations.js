// What was seen of a record, run by run: the evidence behind its versions.
import { usePages } from "./api.js";
import { many, title, Value, When } from "./format.js";
import { html, useMemo } from "./html.js";
import { Out } from "./links.js";
import { Problem } from "./notices.js";
import { More, Table } from "./tables.js";
import { versionAt } from "./versions.js";

export function Observations({ record, noun, versions, at }) {
  const start = useMemo(() => ({ first: {}, items: record.observations, next: record.observations_next }), [record]);
  const pages = usePages(record.id, { path: [noun, "records", record.id, "observations"], list: "observations", start });
  const numbers = new Map(versions.map((version) => [version.scd_id, version.number]));
  const shown = versionAt(versions, at)?.scd_id;
  const pending = pages.items.filter((seen) => seen.version === null).length;
  const columns = [
    { head: "Version", row: true, cell: (seen) => numberOf(seen, numbers) },
    {
      head: "Seen by the run up to",
      cell: (seen) => html`<${Out} href=${seen.run_url}><${When} at=${seen.window_end} seconds=${false} /><//>`,
    },
    { head: "What", cell: (seen) => (seen.change === "delete" ? html`<span class="badge badge-hatched">✕ gone</span>` : "state") },
    { head: "Changed in Salesforce", cell: (seen) => html`<${When} at=${seen.cursor} />` },
    ...record.tracked.map((field) => ({ head: title(field), cell: (seen) => html`<${Value} of=${seen.values[field]} />` })),
    { head: "All fields", cell: (seen) => html`<${All} values=${seen.values} />` },
  ];
  return html`<section aria-labelledby="observations">
    <h2 id="observations">Observations</h2>
    <p class="muted">Each row is what one run read of the record. The rows of the version that is shown above are marked.</p>
    ${
      pending > 0 &&
      html`<p class="pending">${pages.next ? "At least " : ""}${many(pending, "observation")} will be in the history after the next run.</p>`
    }
    <${Table}
      caption="Observations"
      columns=${columns}
      rows=${pages.items}
      mark=${(seen) => (seen.version && seen.version === shown ? "chosen" : "")}
    />
    ${pages.problem && html`<${Problem} problem=${pages.problem} again=${pages.more} />`}
    <${More} pages=${pages} one="observation" />
  </section>`;
}

function numberOf(seen, numbers) {
  const number = numbers.get(seen.version);
  if (number === undefined) return html`<span class="muted">not yet</span>`;
  return html`${number}${seen.opened_version && html` <span class="badge">opened it</span>`}`;
}

function All({ values }) {
  return html`<details>
    <summary>${Object.keys(values).length} fields</summary>
    <dl class="all-fields">
      ${Object.entries(values).map(
        ([name, value]) => html`<div key=${name}>
          <dt>${name}</dt>
          <dd><${Value} of=${value} /></dd>
        </div>`,
      )}
    </dl>
  </details>`;
}
