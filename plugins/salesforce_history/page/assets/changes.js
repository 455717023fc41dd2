// Changes: who moved between which values in a period.
import { ask, urlOf, useAnswer, usePages } from "./api.js";
import { asked, many, millis, number, title, Value, When } from "./format.js";
import { html, useMemo } from "./html.js";
import { Out } from "./links.js";
import { Matrix } from "./matrix.js";
import { Loading, Problem } from "./notices.js";
import { go, hashOf } from "./routes.js";
import { More, Table } from "./tables.js";
import { OverTime } from "./over_time.js";

const DAY = 86_400_000;
const PERIODS = [
  ["1 day", 1],
  ["7 days", 7],
  ["30 days", 30],
  ["90 days", 90],
  ["1 year", 365],
];

export function Changes({ object, route, chooser }) {
  const { since = null, until = null, field = null, from = null, to = null } = route.query;
  const parameters = { since, until, field, from, to };
  const key = JSON.stringify([object.noun, parameters]);
  const path = [object.noun, "changes"];
  const { answer, of, problem, loading, again } = useAnswer(key, (signal) => ask(path, parameters, signal));
  const change = (more) => go(hashOf("changes", object.noun, null, { ...parameters, ...more }));
  return html`<div>
    <div class="view-head"><h1>${object.object} changes</h1>${chooser}</div>
    <${Filters} answer=${answer} parameters=${parameters} change=${change} />
    ${problem && html`<${Problem} problem=${problem} again=${again} />`}
    ${!answer && !problem && html`<${Loading} what="Reading the changes" />`}
    ${
      answer &&
      html`<div class=${loading ? "stale" : ""}>
      <p class="period" role="status">
        ${many(answer.total ?? answer.changes.length, "change")} between${" "}
        <${When} at=${answer.since} seconds=${false} /> and <${When} at=${answer.until} seconds=${false} />${until === null ? " (the newest)" : ""}:
        ${" "}${number(answer.first_seen ?? 0)} first seen, ${number(answer.deleted ?? 0)} deleted, ${number(answer.returned ?? 0)} returned.
      </p>
      <div class="two">
        <${Matrix}
          answer=${answer}
          name=${title(answer.field)}
          chosen=${{ from, to }}
          choose=${(flow) => change(flow ? { field: answer.field, from: asked(flow.from), to: asked(flow.to) } : { from: null, to: null })}
        />
        <${OverTime} answer=${answer} name=${title(answer.field)} />
      </div>
      <${List}
        key=${of}
        noun=${object.noun}
        path=${path}
        parameters=${JSON.parse(of)[1]}
        answer=${answer}
        clear=${() => change({ from: null, to: null })}
      />
    </div>`
    }
  </div>`;
}

function Filters({ answer, parameters, change }) {
  const { since, until, field, from, to } = parameters;
  const end = millis(until ?? answer?.until ?? null);
  const start = millis(since ?? answer?.since ?? null);
  const days = start && end ? Math.round((end - start) / DAY) : null;
  const fields = answer?.fields ?? [];
  const values = useMemo(
    () =>
      [
        ...new Set(
          (answer?.flows ?? [])
            .flatMap((flow) => [flow.from, flow.to])
            .concat((answer?.over_time ?? []).map(({ value }) => value))
            .map(asked),
        ),
      ].sort(),
    [answer],
  );
  const day = (iso) => iso?.slice(0, 16).replace(" ", "T") ?? "";
  const moment = (event) => change({ [event.currentTarget.name]: event.currentTarget.value ? `${event.currentTarget.value}:00Z` : null });
  const select = (event) => change({ [event.currentTarget.name]: event.currentTarget.value === "*" ? null : event.currentTarget.value });
  const choice = (name, label, current) => html`<label class="field">
    <span>${label}</span>
    <select name=${name} value=${current ?? "*"} onChange=${select}>
      <option value="*">any value</option>
      ${[...new Set([...values, ...(current === null ? [] : [current])])].map(
        (value) => html`<option key=${value} value=${value}>${value === "" ? "(empty)" : value}</option>`,
      )}
    </select>
  </label>`;
  return html`<form class="filters" aria-label="Filter" onSubmit=${(event) => event.preventDefault()}>
    <label class="field"><span>Since (UTC)</span><input type="datetime-local" name="since" value=${day(since ?? answer?.since)} onChange=${moment} /></label>
    <label class="field"><span>Until (UTC)</span><input type="datetime-local" name="until" value=${day(until ?? answer?.until)} onChange=${moment} /></label>
    <div class="presets" role="group" aria-labelledby="presets">
      <span id="presets" class="muted small">${until === null ? "Up to the newest change:" : "Up to the same end:"}</span>
      ${PERIODS.map(
        ([name, length]) =>
          html`<button
            key=${name}
            type="button"
            class="button button-small"
            aria-pressed=${days === length}
            disabled=${!end}
            onClick=${() => change({ since: `${new Date(end - length * DAY).toISOString().slice(0, 19)}Z`, until: until ?? answer?.until })}
          >${name}</button>`,
      )}
    </div>
    <label class="field">
      <span>Field</span>
      <select
        name="field"
        value=${field ?? answer?.field ?? ""}
        onChange=${(event) => change({ field: event.currentTarget.value, from: null, to: null })}
      >
        ${[...fields, "is_deleted"].map((one) => html`<option key=${one} value=${one}>${title(one)}</option>`)}
      </select>
    </label>
    ${choice("from", "From", from)} ${choice("to", "To", to)}
    <button
      type="button"
      class="button"
      onClick=${() => change({ since: null, until: null, field: null, from: null, to: null })}
    >Reset</button>
  </form>`;
}

function List({ noun, path, parameters, answer, clear }) {
  const start = useMemo(() => ({ first: answer, items: answer.changes, next: answer.next }), [answer]);
  const pages = usePages(JSON.stringify([noun, parameters, answer.since, answer.until]), {
    path,
    parameters: { ...parameters, since: answer.since, until: answer.until },
    list: "changes",
    start,
  });
  const columns = [
    { head: "When", cell: (row) => html`<${When} at=${row.at} />` },
    {
      head: "Record",
      row: true,
      cell: (row) =>
        html`<a href=${hashOf("record", noun, row.id, { at: row.at })}><bdi>${row.name ?? row.id}</bdi></a> <code class="small">${row.id}</code>`,
    },
    { head: "Field", cell: (row) => title(row.field) },
    { head: "From", cell: (row) => html`<${Value} of=${row.from} />` },
    { head: "To", cell: (row) => html`<${Value} of=${row.to} />` },
  ];
  const csv = urlOf([noun, "changes.csv"], { ...parameters, since: answer.since, until: answer.until }).href;
  const filtered = parameters.from !== null || parameters.to !== null;
  return html`<section aria-labelledby="list">
    <div class="view-head">
      <h2 id="list">Every change${filtered ? ` ${flowInWords(parameters)}` : ""}</h2>
      <p>
        ${filtered && html`<button type="button" class="button" onClick=${clear}>All values</button>`}
        <${Out} href=${csv} download=${true} class="button">Download CSV<//>
      </p>
    </div>
    ${
      pages.items.length === 0
        ? html`<p class="nothing">Nothing changed in this period${filtered ? " between these values" : ""}. Choose a longer one.</p>`
        : html`<${Table} caption="Changes, newest first" columns=${columns} rows=${pages.items} />`
    }
    ${pages.problem && html`<${Problem} problem=${pages.problem} again=${pages.more} />`}
    <${More} pages=${pages} total=${answer.total} one="change" />
  </section>`;
}

function flowInWords({ from, to }) {
  const word = (value) => (value === "" ? "empty" : value);
  return [from === null ? null : `from ${word(from)}`, to === null ? null : `to ${word(to)}`].filter(Boolean).join(" ");
}
