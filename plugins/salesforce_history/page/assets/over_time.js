// How many records had which value, over time.
import { axis, Chart, css, Legend, uPlot, utc } from "./chart.js";
import { millis, number, spoken, stamp } from "./format.js";
import { html, useMemo } from "./html.js";
import { stroke } from "./palette.js";
import { Figure } from "./tables.js";

/** A line a value, from the first record on. */
function columnsOf(overTime) {
  const first = overTime.reduce((least, { at, records }) => (records && (!least || at < least) ? at : least), "");
  const moments = [...new Set(overTime.map(({ at }) => at))].filter((at) => at >= first).sort();
  const place = new Map(moments.map((at, index) => [at, index]));
  const lines = new Map();
  for (const { at, value, records } of overTime) {
    const line = lines.get(value) ?? moments.map(() => 0);
    if (place.has(at)) line[place.get(at)] = records;
    lines.set(value, line);
  }
  const named = [...lines].sort(
    ([one], [other]) => (one === null) - (other === null) || spoken(one).localeCompare(spoken(other), "en", { numeric: true }),
  );
  return { moments, named };
}

export function OverTime({ answer, name }) {
  const { moments, named } = useMemo(() => columnsOf(answer.over_time), [answer]);
  const begins = moments.length > 1 ? moments[0] : answer.since;
  const { data, options } = useMemo(
    () => ({
      data: [moments.map((at) => millis(at) / 1000), ...named.map(([, line]) => line)],
      options: () => ({
        tzDate: utc,
        // Neither further than the period, nor from before the history began.
        scales: {
          x: { range: () => [begins, answer.until].map((at) => millis(at) / 1000) },
          y: { range: (_, low, high) => [Math.max(0, low - (high - low) * 0.1), high + Math.max(1, (high - low) * 0.1)] },
        },
        axes: [
          axis({ space: 70, values: "{YYYY}-{MM}-{DD}\n{HH}:{mm}", size: 40 }),
          axis({ size: 50, values: (_, splits) => splits.map(number) }),
        ],
        series: [
          {},
          ...named.map((_, index) => {
            const { colour, dash } = stroke(index);
            return { stroke: css(colour), width: 2, dash, points: { show: moments.length < 3 }, paths: uPlot.paths.stepped({ align: 1 }) };
          }),
        ],
      }),
    }),
    [answer],
  );
  const reading = (index) => {
    const here = index ?? moments.length - 1;
    return moments[here]
      ? `${stamp(millis(moments[here]), { seconds: false })} UTC: ${named.map(([value, line]) => `${spoken(value)} ${number(line[here])}`).join(", ")}`
      : "";
  };
  const table = [
    { head: "At (UTC)", row: true, cell: (index) => stamp(millis(moments[index]), { seconds: false }) },
    ...named.map(([value, line]) => ({ head: spoken(value), number: true, cell: (index) => number(line[index]) })),
  ];
  const series = named.map(([value], index) => ({ name: spoken(value), ...stroke(index) }));
  if (!moments.length) return null;
  return html`<${Figure}
    heading=${`Over time: ${name}`}
    note=${`Records that had the value at that moment${begins === answer.since ? "" : ", from the first records on"}`}
    columns=${table}
    rows=${moments.map((_, index) => index)}
    level=${2}
  >
    <${Legend} series=${series} />
    <${Chart} label=${`Records per value of ${name} over time`} data=${data} options=${options} height=${240} reading=${reading} />
  <//>`;
}
