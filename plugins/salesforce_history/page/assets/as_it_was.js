// The record as it was at the moment that the slider, or the date, says.
import { ago, duration, stamp, title, Value } from "./format.js";
import { html } from "./html.js";
import { Name, Standing } from "./standing.js";

/** What a date-and-time input holds, read as UTC. */
const toInput = (moment) => new Date(moment).toISOString().slice(0, 19);
const fromInput = (text) => Date.parse(`${text}Z`);

export function AsItWas({ versions, tracked, at, setAt, until }) {
  const index = versions.findLastIndex((version) => version.from <= at);
  const version = versions[index];
  const earlier = versions.findLast((one) => one.from < at);
  const later = versions.find((one) => one.from > at);
  const typed = (event) => {
    const moment = fromInput(event.currentTarget.value);
    if (!Number.isNaN(moment)) setAt(moment);
  };
  return html`<section class="card as-it-was" aria-labelledby="as-it-was">
    <div class="as-of">
      <label class="field"><span>As of (UTC)</span><input type="datetime-local" step="1" value=${toInput(at)} onChange=${typed} /></label>
      <div class="buttons">
        <button class="button" type="button" disabled=${!earlier} onClick=${() => setAt(earlier.from)}>‹ Change before</button>
        <button class="button" type="button" disabled=${!later} onClick=${() => setAt(later.from)}>Change after ›</button>
        <button class="button" type="button" disabled=${at === until} onClick=${() => setAt(until)}>Now</button>
      </div>
    </div>
    <div aria-live="polite" aria-atomic="true">
      <h2 id="as-it-was">${at === until ? "As it is now" : html`As it was on <time datetime=${new Date(at).toISOString()}>${stamp(at)} UTC</time>`}</h2>
      ${
        version
          ? html`<${Shown} version=${version} count=${versions.length} tracked=${tracked} />`
          : html`<${Before} first=${versions[0]} at=${at} />`
      }
    </div>
  </section>`;
}

function Before({ first, at }) {
  return html`<p class="not-yet">
    Nothing is known of it at that moment: the history begins ${duration((first.from - at) / 1000)} later, on ${stamp(first.from)} UTC.
  </p>`;
}

function Shown({ version, count, tracked }) {
  const span =
    version.to === null
      ? `since ${stamp(version.from)} UTC (${ago(version.from)})`
      : `${stamp(version.from)} to ${stamp(version.to)} UTC (${duration((version.to - version.from) / 1000)})`;
  return html`<div>
    <p class="muted">Version ${version.number} of ${count}, ${span}</p>
    ${version.is_deleted && html`<p class="was-deleted">The record was deleted then. These are its last known values.</p>`}
    ${version.returned && html`<p class="was-returned">↻ With this version the record returned after a deletion.</p>`}
    <dl class=${`fields ${version.is_deleted ? "fields-gone" : ""}`}>
      <div><dt>State</dt><dd><${Standing} deleted=${version.is_deleted} active=${version.is_active} /></dd></div>
      <div><dt>Name</dt><dd><${Name} of=${version.name} /></dd></div>
      ${tracked.map(
        (field) => html`<div key=${field}>
          <dt>${title(field)}</dt>
          <dd><${Value} of=${version.values[field]} />${version.changed.includes(field) && html` <span class="badge">changed here</span>`}</dd>
        </div>`,
      )}
    </dl>
  </div>`;
}
