// The timeline of a record: one band a tracked field, drawn to scale, and the slider under it.
import { duration, spoken, stamp, title, Value } from "./format.js";
import { html, useLayoutEffect, useMemo, useRef, useState } from "./html.js";
import { palette } from "./palette.js";
import { layout, ticks } from "./scale.js";

const LEAST = 7;
const STEPS = 1000;
/** Pixels beside the tracks, where half of the slider's thumb stands at either end. */
const EDGE = 8;

/** The time there is to show: a little before the first version, up to now or a little past the last change. */
export function span(versions, until, toNow) {
  const first = versions[0].from;
  const last = versions.at(-1).from;
  const end = toNow || last === first ? Math.max(until, last + 1000) : Math.min(Math.max(until, last + 1000), last + (last - first) * 0.2);
  return { start: first - Math.max(1000, (end - first) * 0.04), end };
}

/** Runs of versions in which a field keeps its value; a deletion interrupts. */
export function stretches(versions, field) {
  const parts = [];
  versions.forEach((version, index) => {
    const before = parts.at(-1);
    const value = version.values[field] ?? null;
    if (before && before.value === value && before.deleted === version.is_deleted) before.last = index;
    else parts.push({ first: index, last: index, value, deleted: version.is_deleted, returned: version.returned });
  });
  return parts;
}

function useWidth() {
  const place = useRef(null);
  const [width, setWidth] = useState(600);
  useLayoutEffect(() => {
    const node = place.current;
    const measure = () => setWidth(Math.max(120, node.clientWidth - 2 * EDGE));
    measure();
    const watching = new ResizeObserver(measure);
    watching.observe(node);
    return () => watching.disconnect();
  }, []);
  return [place, width];
}

export function Timeline({ versions, tracked, at, setAt, until }) {
  const changes = versions.at(-1).from - versions[0].from;
  const [toNow, setToNow] = useState(() => changes * 3 >= until - versions[0].from);
  const [told, setTold] = useState(null);
  const [place, width] = useWidth();
  const { start, end } = span(versions, until, toNow);
  const map = useMemo(() => layout([start, ...versions.map(({ from }) => from), end], width, LEAST), [versions, width, start, end]);
  const box = (first, last) => ({ left: `${map.places[first + 1]}px`, width: `${map.places[last + 2] - map.places[first + 1]}px` });
  const marks = ticks(start, end, map.width / 120);
  const here = map.at(Math.min(end, Math.max(start, at)));
  const frame = useRef(null);
  const tell = (target, words) => {
    const [inner, outer] = [target.getBoundingClientRect(), frame.current.getBoundingClientRect()];
    const room = Math.min(150, outer.width / 2);
    const middle = (Math.max(inner.left, outer.left) + Math.min(inner.right, outer.right)) / 2 - outer.left;
    setTold({ ...words, left: Math.min(Math.max(middle, room), outer.width - room), top: inner.top - outer.top });
  };
  const shared = { versions, box, setAt, tell, hush: () => setTold(null) };
  return html`<section class="timeline" aria-labelledby="timeline-head">
    <div class="timeline-head">
      <h2 id="timeline-head">Timeline</h2>
      <fieldset class="switch">
        <legend class="hidden">Time that is shown</legend>
        ${[false, true].map(
          (choice) => html`<label key=${choice}>
            <input type="radio" name="scale" checked=${toNow === choice} onChange=${() => setToNow(choice)} />
            <span>${choice ? "Until now" : "Around the changes"}</span>
          </label>`,
        )}
      </fieldset>
    </div>
    <div class="bands" ref=${frame} onMouseLeave=${() => setTold(null)}>
      <div class="band-names" aria-hidden="true">
        <span class="band-name">State</span>
        ${tracked.map((field) => html`<span key=${field} class="band-name" title=${field}>${title(field)}</span>`)}
      </div>
      <div class="band-frame" ref=${place}>
        <div class="band-tracks" style=${{ width: `${map.width}px` }}>
          <${Band} name="State" parts=${states(versions)} ...${shared} look=${(part) => (part.deleted ? "gone" : "alive")} />
          ${tracked.map((field) => html`<${FieldBand} key=${field} field=${field} name=${title(field)} ...${shared} />`)}
          <div class="ticks" aria-hidden="true">
            ${clear(marks, map).map(
              ({ time, label }) => html`<span key=${time} class="tick" style=${{ left: `${map.at(time)}px` }}>${label}</span>`,
            )}
          </div>
          <div class="line" style=${{ transform: `translateX(${here}px)` }} aria-hidden="true"></div>
          <${Slider} map=${map} here=${here} at=${at} setAt=${setAt} versions=${versions} />
        </div>
      </div>
      ${told && html`<${Told} told=${told} />`}
    </div>
    <${Key} versions=${versions} tracked=${tracked} />
    ${map.widened > 0 && html`<p class="muted small">To scale, but the shortest versions are drawn wider than they lasted, so that they can be seen.</p>`}
  </section>`;
}

/** Labels that would run into the one before are left out. */
function clear(marks, map) {
  let free = -Infinity;
  return marks.filter(({ time, label }) => {
    const room = label.length * 6.4 + 14;
    const left = map.at(time);
    if (left < free || left + room > map.width) return false;
    free = left + room;
    return true;
  });
}

/** The band of existence has a part a version. */
function states(versions) {
  return versions.map((version, index) => ({
    first: index,
    last: index,
    value: null,
    deleted: version.is_deleted,
    returned: version.returned,
  }));
}

function FieldBand({ field, versions, ...rest }) {
  const parts = useMemo(() => stretches(versions, field), [versions, field]);
  const look = useMemo(() => palette(versions.map((version) => version.values[field])), [versions, field]);
  return html`<${Band}
    ...${rest}
    versions=${versions}
    parts=${parts}
    look=${(part) => (part.deleted ? "gone" : look(part.value))}
    field=${field}
  />`;
}

function Band({ name, parts, versions, box, look, setAt, tell, hush, field }) {
  const [stop, setStop] = useState(0);
  const row = useRef(null);
  const move = (event) => {
    const target = { ArrowLeft: stop - 1, ArrowRight: stop + 1, Home: 0, End: parts.length - 1 }[event.key];
    if (target === undefined || !parts[target]) return;
    event.preventDefault();
    setStop(target);
    row.current.children[target].focus();
  };
  return html`<div
    class=${field ? "band" : "band band-state"}
    data-name=${name}
    role="group"
    aria-label=${`${name}: ${parts.length} ${parts.length === 1 ? "part" : "parts"}, arrow keys walk through them`}
    ref=${row}
    onKeyDown=${move}
  >
    ${parts.map((part, index) => {
      const words = wordsOf(name, part, versions, field);
      return html`<button
        key=${part.first}
        type="button"
        class=${`part ${look(part)} ${versions[part.last].to === null ? "part-open" : ""}`}
        style=${box(part.first, part.last)}
        tabindex=${index === Math.min(stop, parts.length - 1) ? 0 : -1}
        aria-label=${`${words.what}, ${words.when}`}
        onClick=${() => setAt(versions[part.first].from)}
        onFocus=${(event) => {
          setStop(index);
          tell(event.currentTarget, words);
        }}
        onBlur=${hush}
        onMouseEnter=${(event) => tell(event.currentTarget, words)}
      >
        <span class="part-text" aria-hidden="true">${field ? (part.deleted ? "" : spoken(part.value)) : nameOf(part, versions)}</span>
      </button>`;
    })}
  </div>`;
}

/** What a part of the state's band is called: v3, or what happened. */
function nameOf(part, versions) {
  if (part.deleted) return "deleted";
  return part.returned ? "↻ returned" : `v${versions[part.first].number}`;
}

/** What is said of a part, in a bubble and to a screen reader. */
function wordsOf(name, part, versions, field) {
  const [first, last] = [versions[part.first], versions[part.last]];
  const what = field
    ? `${name}: ${spoken(part.value)}${part.deleted ? " when it was deleted" : ""}`
    : `${nameOf(part, versions)}, version ${first.number} of ${versions.length}`;
  const to = last.to === null ? "now" : `${stamp(last.to)} UTC`;
  const length = last.to === null ? "" : ` (${duration((last.to - first.from) / 1000)})`;
  return { what, when: `${stamp(first.from)} UTC to ${to}${length}` };
}

function Told({ told }) {
  return html`<div
    class="told"
    style=${{ left: `${told.left}px`, top: `${told.top}px` }}
    aria-hidden="true"
  ><strong><bdi>${told.what}</bdi></strong><span>${told.when}</span></div>`;
}

function Slider({ map, here, at, setAt, versions }) {
  const version = versions.findLast(({ from }) => from <= at);
  const words = `${stamp(at)} UTC, ${version ? `version ${version.number}` : "before the first version"}`;
  return html`<input
    type="range"
    class="slider"
    min="0"
    max=${STEPS}
    step="1"
    value=${Math.round((here / map.width) * STEPS)}
    aria-label="As of"
    aria-valuetext=${words}
    onInput=${(event) => setAt(momentAt(map, Number(event.currentTarget.value)))}
  />`;
}

/** The moment of a step: a whole second, where seconds are less than a step. */
function momentAt(map, step) {
  const time = (at) => map.time((at / STEPS) * map.width);
  const fine = step === STEPS || time(step + 1) - time(step) < 1000;
  return fine ? Math.round(time(step)) : Math.round(time(step) / 1000) * 1000;
}

function Key({ versions, tracked }) {
  return html`<div class="keys">
    ${tracked.map((field) => {
      const values = [...new Set(versions.map((version) => version.values[field] ?? null))];
      const look = palette(values);
      return html`<dl key=${field} class="key">
        <dt>${title(field)}</dt>
        ${values.map(
          (value) => html`<dd key=${String(value)}>
            <span class=${`swatch ${look(value)}`} aria-hidden="true"></span><${Value} of=${value} />
          </dd>`,
        )}
      </dl>`;
    })}
    <dl class="key">
      <dt>State</dt>
      <dd><span class="swatch alive" aria-hidden="true"></span>there</dd>
      ${versions.some((version) => version.is_deleted) && html`<dd><span class="swatch gone" aria-hidden="true"></span>deleted</dd>`}
      ${versions.some((version) => version.returned) && html`<dd><span aria-hidden="true">↻</span> returned</dd>`}
    </dl>
  </div>`;
}
