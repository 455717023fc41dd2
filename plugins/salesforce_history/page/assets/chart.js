// uPlot inside Preact: it follows width and theme, is read by keyboard as well as by mouse, and says in words what it points at.
import uPlot from "./vendor/uPlot.esm.js";
import { html, useLayoutEffect, useRef, useState } from "./html.js";

export const css = (name) => window.getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
export { uPlot };

const AXIS_FONT = "11px Inter, -apple-system, BlinkMacSystemFont, 'Segoe UI', sans-serif";

/** What all axes look like. */
export function axis(more = {}) {
  return {
    stroke: () => css("--fg-muted"),
    font: AXIS_FONT,
    labelFont: AXIS_FONT,
    grid: { stroke: () => css("--border"), width: 1 },
    ticks: { stroke: () => css("--border-emphasized"), width: 1, size: 4 },
    ...more,
  };
}

/**
 * @param label what the chart shows, for those who do not see it
 * @param options () => uPlot's options without width and height
 * @param data uPlot's columns
 * @param reading (index) => what is said of one point; null: what is said before any is chosen
 */
export function Chart({ label, options, data, height = 180, reading }) {
  const place = useRef(null);
  const plot = useRef(null);
  const [index, setIndex] = useState(null);

  useLayoutEffect(() => {
    const node = place.current;
    const draw = () => {
      plot.current?.destroy();
      const width = Math.max(160, node.clientWidth);
      const base = {
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 }, y: false },
        hooks: {},
        ...options(),
      };
      base.hooks = { ...base.hooks, setCursor: [(u) => setIndex(u.cursor.idx ?? null)] };
      plot.current = new uPlot({ ...base, width, height }, data, node);
    };
    draw();
    const sized = new ResizeObserver(() => {
      const width = Math.max(160, node.clientWidth);
      if (width !== plot.current.width) plot.current.setSize({ width, height });
    });
    sized.observe(node);
    window.addEventListener("themechange", draw);
    return () => {
      sized.disconnect();
      window.removeEventListener("themechange", draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [data, options]);

  function point(next) {
    const u = plot.current;
    const to = Math.min(data[0].length - 1, Math.max(0, next));
    const top = u.data.slice(1).find((column) => typeof column?.[to] === "number");
    u.setCursor({ left: u.valToPos(u.data[0][to], "x"), top: top ? u.valToPos(top[to], "y") : 0 });
  }

  function key(event) {
    const last = data[0].length - 1;
    const from = index ?? (event.key === "ArrowLeft" ? last + 1 : -1);
    const steps = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last };
    if (!(event.key in steps)) return;
    event.preventDefault();
    point(steps[event.key]);
  }

  return html`<div class="chart">
    <div
      class="chart-place"
      ref=${place}
      tabindex="0"
      role="group"
      aria-roledescription="chart"
      aria-label=${`${label}. Arrow keys read the points.`}
      onKeyDown=${key}
    ></div>
    <p class="reading" aria-live="polite">${reading(index)}</p>
  </div>`;
}

/** The key to a chart's series: [{name, colour (CSS variable), dash}]; with dashes it is a line, else an area. */
export function Legend({ series }) {
  return html`<ul class="legend">
    ${series.map(
      ({ name, colour, dash }) =>
        html`<li key=${name}>
          <svg class="legend-mark" viewBox="0 0 26 12" aria-hidden="true">
            ${
              dash
                ? html`<line x1="0" y1="6" x2="26" y2="6" stroke-width="2.5" stroke-dasharray=${dash.join(" ")} style=${{ stroke: `var(${colour})` }} />`
                : html`<rect x="5" width="16" height="12" rx="2" style=${{ fill: `var(${colour})` }} />`
            }
          </svg>
          <bdi>${name}</bdi>
        </li>`,
    )}
  </ul>`;
}
