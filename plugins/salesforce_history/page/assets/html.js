// Preact without a build step: templates are parsed in the browser. Values become text nodes and attributes, never markup.
import { h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export { render } from "./vendor/preact.mjs";
export { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-hooks.mjs";
export const html = htm.bind(h);
