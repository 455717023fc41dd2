// Numbers, times and values in words. Times are UTC everywhere.
import { html } from "./html.js";

const NUMBERS = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
// What a record holds is not rounded.
const EXACT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 20 });
const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

export const number = (value) => (typeof value === "number" ? NUMBERS.format(value) : "–");
export const percent = (value) => (typeof value === "number" ? `${NUMBERS.format(value)} %` : "–");
export const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

/** The two largest units: 3 d 4 h. */
export function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  const words = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count && words.length < 2) words.push(`${NUMBERS.format(count)} ${unit}`);
    else if (words.length) break;
    rest -= count * size;
  }
  return words.join(" ") || "0 s";
}

/** Milliseconds since 1970 of an ISO time in UTC, with its microseconds as a fraction; null stays null. */
export function millis(iso) {
  if (!iso) return null;
  const [, whole, fraction = "0"] = /^([^.Z]+)(?:\.(\d+))?Z?$/.exec(iso) ?? [];
  return whole ? Date.parse(`${whole}Z`) + Number(`0.${fraction}`) * 1000 : Date.parse(iso);
}

/** 2026-01-05 14:30:00, in UTC; fractions only where there are any. */
export function stamp(moment, { seconds = true } = {}) {
  if (moment === null || moment === undefined || Number.isNaN(moment)) return "–";
  const micros = Math.round((moment - Math.floor(moment / 1000) * 1000) * 1000);
  const iso = new Date(moment).toISOString();
  const fraction = seconds && micros ? `.${String(micros).padStart(6, "0")}` : "";
  return `${iso.slice(0, 10)} ${iso.slice(11, seconds ? 19 : 16)}${fraction}`;
}

/** The same moment as an ISO time. */
export const isoOf = (moment) => `${stamp(moment).replace(" ", "T")}Z`;

export function ago(moment, now = Date.now()) {
  const distance = Math.abs(now - moment) / 1000;
  if (distance < 10) return "just now";
  const words = duration(distance).split(" ").slice(0, 2).join(" ");
  return moment <= now ? `${words} ago` : `in ${words}`;
}

/** A time with its age; what is exact stays in the title. */
export function When({ at, age = false, seconds = true }) {
  const moment = millis(at);
  if (moment === null || Number.isNaN(moment)) return html`<span class="muted">–</span>`;
  return html`<time datetime=${at} title=${`${at} (${ago(moment)})`} class="when"
    >${stamp(moment, { seconds })}<span class="utc"> UTC</span>${age && html`<span class="age">, ${ago(moment)}</span>`}</time
  >`;
}

/** How a field's value is spoken: null is "empty", which is not the text of that name. */
export function spoken(value) {
  if (value === null || value === undefined) return "empty";
  if (value === true) return "yes";
  if (value === false) return "no";
  return typeof value === "number" ? EXACT.format(value) : String(value);
}

/** How a value travels in an address: an empty field is the empty text. */
export const asked = (value) => (value === null ? "" : String(value));

/** A value as it is shown; texts run in the direction of their own letters. */
export function Value({ of: value }) {
  if (value === null || value === undefined || value === "") return html`<span class="empty">empty</span>`;
  return html`<bdi class="value">${spoken(value)}</bdi>`;
}

/** A field's name for people: audit_phase__c → Audit phase. */
export function title(field) {
  const words = field.replace(/__c$/, "").replaceAll("_", " ").trim() || field;
  return words.charAt(0).toUpperCase() + words.slice(1);
}
