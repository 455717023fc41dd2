// Who a record is, and whether it is there.
import { html } from "./html.js";

/** A name that may be missing. */
export function Name({ of: name }) {
  return name ? html`<bdi>${name}</bdi>` : html`<span class="empty">without a name</span>`;
}

export function Standing({ deleted, active }) {
  if (deleted) return html`<span class="badge badge-hatched">✕ deleted</span>`;
  if (active === false) return html`<span class="badge badge-idle">○ inactive</span>`;
  return html`<span class="badge badge-good">● active</span>`;
}
