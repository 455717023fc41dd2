// Two charts of an object's runs: what each changed, and how many records there were, against what is expected.
import { axis, Chart, css, Legend, uPlot } from "./chart.js";
import { many, millis, number, stamp } from "./format.js";
import { html, useMemo } from "./html.js";
import { Out } from "./links.js";
import { Figure } from "./tables.js";

/** A bar this many times as tall as the next one is cut: a first load would flatten every run after it. */
const CUT_FROM = 6;

/** The end of what a run read. */
export const moment = (run) => millis(run.window_end ?? run.recorded_at);

function runAxis(runs) {
  const label = (index) => {
    const run = runs[index];
    return run ? stamp(moment(run), { seconds: false }).slice(5).replace(" ", "\n") : "";
  };
  return axis({
    space: 52,
    size: 40,
    incrs: [1, 2, 4, 5, 10, 20, 28, 40],
    values: (_, splits) => splits.map((split) => (Number.isInteger(split) ? label(split) : "")),
    grid: { show: false },
  });
}

const runRange = (runs) => () => [-0.6, runs.length - 0.4];

/** The height at which the tallest bar is cut, or null. */
export function cutAt(values) {
  const [first = 0, second = 0] = [...values].sort((one, other) => other - one);
  return second > 0 && first > CUT_FROM * second ? Math.ceil(second * 1.4) : null;
}

function drawMarks(u, runs, cut, opened) {
  const { ctx } = u;
  ctx.save();
  ctx.textAlign = "center";
  ctx.font = `${11 * uPlot.pxRatio}px Inter, -apple-system, 'Segoe UI', sans-serif`;
  runs.forEach((run, index) => {
    const x = u.valToPos(index, "x", true);
    if (cut !== null && opened[index] > cut) {
      const bar = Math.min(36 * uPlot.pxRatio, (u.bbox.width / runs.length) * 0.7);
      ctx.fillStyle = css("--bg");
      for (const down of [9, 14]) ctx.fillRect(x - bar / 2, u.bbox.top + down * uPlot.pxRatio, bar, 2 * uPlot.pxRatio);
      ctx.fillStyle = css("--fg");
      ctx.fillText(number(opened[index]), Math.max(x, u.bbox.left + 16 * uPlot.pxRatio), u.bbox.top - 5 * uPlot.pxRatio);
    }
    if (run.state !== "success") {
      ctx.fillStyle = css("--bad-fg");
      ctx.fillText("✕", x, u.valToPos(0, "y", true) - 4 * uPlot.pxRatio);
    }
  });
  ctx.restore();
}

const RUN_COLUMNS = [
  { head: "Up to (UTC)", row: true, cell: (run) => html`<${Out} href=${run.url}>${stamp(moment(run), { seconds: false })}<//>` },
  { head: "State", cell: (run) => run.state },
  { head: "Opened", number: true, cell: (run) => number(run.opened) },
  { head: "Closed", number: true, cell: (run) => number(run.closed) },
  { head: "Deleted", number: true, cell: (run) => number(run.deleted) },
  { head: "Quarantined", number: true, cell: (run) => number(run.quarantined) },
  { head: "Quality", number: true, cell: (run) => number(run.quality_score) },
];

export function ChangesPerRun({ runs }) {
  const { data, options, cut } = useMemo(() => {
    const opened = runs.map((run) => run.opened ?? 0);
    const cutHeight = cutAt(opened);
    const shown = opened.map((value) => (cutHeight === null ? value : Math.min(value, cutHeight)));
    const closed = runs.map((run) => -(run.closed ?? 0));
    const bars = uPlot.paths.bars({ size: [0.62, 34], radius: 0.12 });
    return {
      cut: cutHeight,
      data: [runs.map((_, index) => index), shown, closed],
      options: () => ({
        padding: [18, 8, 0, 0],
        scales: {
          x: { time: false, range: runRange(runs) },
          y: { range: (_, low, high) => [Math.min(0, low * 1.15), cutHeight ?? Math.max(1, high * 1.12)] },
        },
        axes: [runAxis(runs), axis({ size: 46, space: 26, values: (_, splits) => splits.map((split) => number(Math.abs(split))) })],
        series: [
          {},
          { paths: bars, fill: css("--series-1"), points: { show: false } },
          { paths: bars, fill: css("--series-2"), points: { show: false } },
        ],
        hooks: { draw: [(u) => drawMarks(u, runs, cutHeight, opened)] },
      }),
    };
  }, [runs]);

  const reading = (index) => {
    if (index === null || !runs[index])
      return `${many(runs.length, "run")}, the last of them up to ${stamp(moment(runs.at(-1)), { seconds: false })} UTC.`;
    const run = runs[index];
    const more = [
      run.deleted ? many(run.deleted, "deletion") : null,
      run.quarantined ? `${number(run.quarantined)} quarantined` : null,
      run.state === "success" ? null : run.state,
    ].filter(Boolean);
    const numbers = [`${number(run.opened)} opened`, `${number(run.closed)} closed`, ...more].join(", ");
    return `Up to ${stamp(moment(run), { seconds: false })} UTC: ${numbers}.`;
  };

  return html`<${Figure}
    heading="Changes per run"
    note=${`Versions opened (up) and closed (down)${cut === null ? "" : "; the tallest bar is cut and has its number"}`}
    columns=${RUN_COLUMNS}
    rows=${runs}
  >
    <${Legend} series=${[
      { name: "opened", colour: "--series-1" },
      { name: "closed", colour: "--series-2" },
    ]} />
    <${Chart} label="Changes per run" data=${data} options=${options} reading=${reading} />
  <//>`;
}

const COUNT_COLUMNS = [
  { head: "Up to (UTC)", row: true, cell: (run) => stamp(moment(run), { seconds: false }) },
  { head: "Records", number: true, cell: (run) => number(run.live_records) },
  { head: "Out of range", cell: (run) => run.anomalies || "no" },
];

export function RecordCount({ runs, expected }) {
  const { data, options } = useMemo(() => {
    const flat = (value) => runs.map(() => value ?? null);
    const { minimum, maximum, typical } = expected ?? {};
    const edges = [minimum, maximum, typical].filter((value) => typeof value === "number");
    const spread = (low, high) => {
      const bottom = Math.min(low ?? Infinity, ...edges);
      const top = Math.max(high ?? 0, ...edges);
      const pad = (top - bottom || top || 1) * 0.1;
      return [Math.max(0, bottom - pad), top + pad];
    };
    return {
      data: [runs.map((_, index) => index), runs.map((run) => run.live_records ?? null), flat(maximum), flat(minimum), flat(typical)],
      options: () => ({
        padding: [18, 8, 0, 0],
        scales: { x: { time: false, range: runRange(runs) }, y: { range: (_, low, high) => spread(low, high) } },
        axes: [runAxis(runs), axis({ size: 46, space: 26, values: (_, splits) => splits.map(number) })],
        bands: [{ series: [2, 3], fill: css("--band") }],
        series: [
          {},
          { stroke: css("--series-1"), width: 2, points: { show: true, size: 6, fill: css("--bg") } },
          { stroke: css("--band-edge"), width: 1, points: { show: false } },
          { stroke: css("--band-edge"), width: 1, points: { show: false } },
          { stroke: css("--fg-muted"), width: 1, dash: [5, 4], points: { show: false } },
        ],
      }),
    };
  }, [runs, expected]);

  const range = expected ? `${number(expected.minimum)} to ${number(expected.maximum)}` : null;
  const reading = (index) => {
    const run = index === null ? runs.at(-1) : runs[index];
    if (!run) return "";
    const out = run.anomalies ? ` Out of the ordinary: ${run.anomalies}.` : "";
    return `Up to ${stamp(moment(run), { seconds: false })} UTC: ${many(run.live_records ?? 0, "record")}${range ? ` (expected ${range})` : ""}.${out}`;
  };
  const series = [{ name: "records", colour: "--series-1", dash: [] }];
  if (expected) series.push({ name: "expected range", colour: "--band" }, { name: "typical", colour: "--fg-muted", dash: [5, 4] });

  return html`<${Figure}
    heading="Records"
    note=${range ? `Expected: about ${number(expected.typical)}, ${range}` : "No range is expected of this object"}
    columns=${COUNT_COLUMNS}
    rows=${runs}
  >
    <${Legend} series=${series} />
    <${Chart} label="Record count with the expected range" data=${data} options=${options} reading=${reading} />
  <//>`;
}
