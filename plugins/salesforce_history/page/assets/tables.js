// Tables that scroll sideways by themselves, and lists that grow page by page.
import { html } from "./html.js";
import { many, number } from "./format.js";

/** columns: [{head, cell(row), number?, row?}]; `row` marks the cell that names its row. */
export function Table({ caption, columns, rows, keyOf, mark, hideCaption = true }) {
  return html`<div class="table-frame" role="group" aria-label=${caption} tabindex="0">
    <table>
      <caption class=${hideCaption ? "hidden" : ""}>${caption}</caption>
      <thead>
        <tr>
          ${columns.map((column) => html`<th key=${column.head} scope="col" class=${column.number ? "number" : ""}>${column.head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row, index) =>
            html`<tr key=${keyOf ? keyOf(row, index) : index} class=${mark?.(row, index) ?? ""}>
              ${columns.map((column) =>
                column.row
                  ? html`<th key=${column.head} scope="row">${column.cell(row, index)}</th>`
                  : html`<td key=${column.head} class=${column.number ? "number" : ""}>${column.cell(row, index)}</td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Below a list: how much of it is shown, and a button for the rest. */
export function More({ pages, total, one }) {
  const shown = pages.items.length;
  const known = typeof total === "number";
  const more = known && total > shown ? ` of ${number(total)}` : "";
  const rest = !known && pages.next ? ", and more" : more;
  return html`<div class="more">
    <span class="muted">${many(shown, one)}${rest}</span>
    ${
      pages.next &&
      html`<button
        class="button"
        type="button"
        disabled=${pages.busy}
        onClick=${pages.more}
      >${pages.busy ? "Loading …" : "Show more"}</button>`
    }
  </div>`;
}

/** A chart with its numbers: the picture for the eye, and a table that everybody can open. */
export function Figure({ heading, note, columns, rows, children, level = 3 }) {
  return html`<figure class="figure">
    <figcaption>
      ${level === 3 ? html`<h3>${heading}</h3>` : html`<h2>${heading}</h2>`}
      ${note && html`<p class="muted">${note}</p>`}
    </figcaption>
    ${children}
    <details class="numbers">
      <summary>The same as a table</summary>
      <${Table} caption=${heading} columns=${columns} rows=${rows} />
    </details>
  </figure>`;
}
