// From → to: how many records moved between two values, as a table whose cells are shaded.
import { asked, many, number, spoken, Value } from "./format.js";
import { html, useMemo } from "./html.js";

const same = (value, text) => text !== null && asked(value) === text;

/** Values in the order of their names, "empty" last. */
function ordered(values) {
  return [...new Set(values)].sort(
    (one, other) => (one === null) - (other === null) || spoken(one).localeCompare(spoken(other), "en", { numeric: true }),
  );
}

export function Matrix({ answer, name, chosen, choose }) {
  const { froms, tos, counts, most } = useMemo(() => {
    const cells = new Map();
    for (const flow of answer.flows) cells.set(JSON.stringify([flow.from, flow.to]), flow.records);
    return {
      froms: ordered(answer.flows.map((flow) => flow.from)),
      tos: ordered(answer.flows.map((flow) => flow.to)),
      counts: cells,
      most: Math.max(1, ...cells.values()),
    };
  }, [answer]);
  const cell = (from, to) => {
    const records = counts.get(JSON.stringify([from, to])) ?? 0;
    if (!records) return html`<td key=${String(to)} class="flow-none"><span class="hidden">0</span></td>`;
    const pressed = same(from, chosen.from) && same(to, chosen.to);
    const level = Math.ceil((records / most) * 5);
    return html`<td key=${String(to)}>
      <button
        type="button"
        class=${`flow flow-${level}`}
        aria-pressed=${pressed}
        aria-label=${`${spoken(from)} to ${spoken(to)}: ${many(records, "record")}`}
        onClick=${() => choose(pressed ? null : { from, to })}
      >
        ${number(records)}
      </button>
    </td>`;
  };
  return html`<section class="figure" aria-labelledby="matrix">
    <h2 id="matrix">From → to: ${name}</h2>
    <p class="muted">Records that moved. A cell filters the list below.</p>
    ${
      froms.length === 0
        ? html`<p class="nothing">No record moved in this period.</p>`
        : html`<div class="table-frame" role="group" aria-label=${`Matrix of ${name}`} tabindex="0">
          <table class="matrix">
            <caption class="hidden">Records that moved between two values of ${name}</caption>
            <thead>
              <tr>
                <th scope="col" class="corner">from ↓ / to →</th>
                ${tos.map((to) => html`<th key=${String(to)} scope="col"><${Value} of=${to} /></th>`)}
              </tr>
            </thead>
            <tbody>
              ${froms.map((from) => html`<tr key=${String(from)}><th scope="row"><${Value} of=${from} /></th>${tos.map((to) => cell(from, to))}</tr>`)}
            </tbody>
          </table>
        </div>`
    }
  </section>`;
}
