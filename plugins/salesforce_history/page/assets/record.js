// One record: its versions to scale, how it was at any moment, and what was seen of it.
import { ask, useAnswer } from "./api.js";
import { AsItWas } from "./as_it_was.js";
import { duration, isoOf, many, millis, stamp, title, Value, When } from "./format.js";
import { html, useEffect, useMemo, useState } from "./html.js";
import { Out } from "./links.js";
import { Loading, Problem } from "./notices.js";
import { Observations } from "./observations.js";
import { hashOf, settle } from "./routes.js";
import { Name, Standing } from "./standing.js";
import { Table } from "./tables.js";
import { Timeline } from "./timeline.js";
import { timed, versionAt } from "./versions.js";

export function Record({ object, id, at: asked, q, now }) {
  const { answer, problem, again } = useAnswer(`${object.noun} ${id}`, (signal) => ask([object.noun, "records", id], {}, signal));
  const list = hashOf("record", object.noun, null, { q: q || null });
  const back = html`<p><a href=${list}>← ${q ? "Back to the results" : `All ${object.object} records`}</a></p>`;
  if (problem) return html`<div>${back}<${Problem} problem=${problem} again=${again} alone /></div>`;
  if (!answer) return html`<${Loading} what="Reading the record" />`;
  return html`<div>${back}<${Known} record=${answer} noun=${object.noun} asked=${asked} q=${q} now=${millis(now)} /></div>`;
}

function Known({ record, noun, asked, q, now }) {
  const versions = useMemo(() => timed(record.versions), [record]);
  const last = versions.at(-1);
  const until = Math.max(now, last?.from ?? now);
  const [at, setAt] = useState(() => {
    const given = millis(asked ?? null);
    return given === null || Number.isNaN(given) ? until : given;
  });
  useEffect(() => {
    // Not at every step of a slider that is dragged: browsers refuse that many.
    const wait = setTimeout(() => settle(hashOf("record", noun, record.id, { at: at === until ? null : isoOf(at), q: q || null })), 250);
    return () => clearTimeout(wait);
  }, [at]);
  return html`<article class="record" aria-labelledby="record-name">
    <header class="view-head">
      <div>
        <h1 id="record-name"><${Name} of=${record.name} /></h1>
        <p class="muted">
          ${record.object} <code>${record.id}</code> · ${many(versions.length, "version")}
          ${record.salesforce_url && html` · <${Out} href=${record.salesforce_url} away=${true}>Open in Salesforce<//>`}
        </p>
      </div>
      ${last && html`<p><${Standing} deleted=${last.is_deleted} active=${last.is_active} /></p>`}
    </header>
    ${
      versions.length > 0 &&
      html`<${Timeline} versions=${versions} tracked=${record.tracked} at=${at} setAt=${setAt} until=${until} />
      <${AsItWas} versions=${versions} tracked=${record.tracked} at=${at} setAt=${setAt} until=${until} />
      <${Versions} versions=${versions} tracked=${record.tracked} at=${at} setAt=${setAt} />`
    }
    <${Observations} record=${record} noun=${noun} versions=${versions} at=${at} />
  </article>`;
}

function Versions({ versions, tracked, at, setAt }) {
  const shown = versionAt(versions, at);
  const columns = [
    {
      head: "Version",
      row: true,
      cell: (version) => html`<button type="button" class="link" onClick=${() => setAt(version.from)}>${version.number}</button>`,
    },
    { head: "From (UTC)", cell: (version) => stamp(version.from) },
    { head: "To (UTC)", cell: (version) => (version.to === null ? "now" : stamp(version.to)) },
    { head: "For", cell: (version) => (version.to === null ? "–" : duration((version.to - version.from) / 1000)) },
    {
      head: "State",
      cell: (version) =>
        html`<${Standing}
          deleted=${version.is_deleted}
          active=${version.is_active}
        />${version.returned && html` <span class="badge">↻ returned</span>`}`,
    },
    ...tracked.map((field) => ({
      head: title(field),
      cell: (version) =>
        version.changed.includes(field)
          ? html`<span class="changed"><${Value} of=${version.values[field]} /><span class="hidden"> (changed)</span></span>`
          : html`<${Value} of=${version.values[field]} />`,
    })),
    { head: "Opened by the change of", cell: (version) => html`<${When} at=${version.update_date} />` },
  ];
  return html`<section aria-labelledby="versions">
    <h2 id="versions">Versions</h2>
    <p class="muted">The same as the timeline, in words. What a version changed is underlined; its number takes the timeline there.</p>
    <${Table}
      caption="Versions"
      columns=${columns}
      rows=${versions}
      keyOf=${(version) => version.scd_id}
      mark=${(version) => (version === shown ? "chosen" : "")}
    />
  </section>`;
}
