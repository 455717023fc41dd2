// From → to: how many records moved between two values, as a table whose cells are shaded.
import { asked, many, number, spoken, Value } from "./format.js";
import { html, useMemo } from "./html.js";

const same = (value, text) => text !== null && asked(value) === text;

/** Rows and columns that are shown at most. */
const MOST = 40;

/** Values with the records that moved from or to them; the heaviest come first. */
function heaviest(flows, side) {
  const records = new Map();
  for (const flow of flows) records.set(flow[side], (records.get(flow[side]) ?? 0) + flow.records);
  return [...records].sort(([, one], [, other]) => other - one).map(([value]) => value);
}

/** Values in the order of their names, "empty" last. */
function ordered(values) {
  return [...values].sort(
    (one, other) => (one === null) - (other === null) || spoken(one).localeCompare(spoken(other), "en", { numeric: true }),
  );
}

export function Matrix({ answer, name, chosen, choose }) {
  const { froms, tos, counts, most, hidden } = useMemo(() => {
    const cells = new Map();
    for (const flow of answer.flows) cells.set(JSON.stringify([flow.from, flow.to]), flow.records);
    const [from, to] = ["from", "to"].map((side) => heaviest(answer.flows, side));
    return {
      froms: ordered(from.slice(0, MOST)),
      tos: ordered(to.slice(0, MOST)),
      hidden: Math.max(0, from.length - MOST) + Math.max(0, to.length - MOST),
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
    <p class="muted">Records that moved. A cell filters the list below.${hidden > 0 && ` Only the ${MOST} values that most records left, and the ${MOST} that most reached, are shown.`}</p>
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
