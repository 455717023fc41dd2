// From time to place and back. Drawn to scale, except that nothing is narrower than a finger can hit or an eye can see.

/**
 * @param edges times in ascending order: where each part begins, and where the last one ends
 * @param width pixels there are
 * @param least pixels that each part has at least
 * @return {places, width, widened, at(time), time(place)}; width grows where the parts do not fit otherwise
 */
export function layout(edges, width, least) {
  const parts = edges.length - 1;
  const full = Math.max(width, parts * least * 1.5);
  const [start, end] = [edges[0], edges[parts]];
  const places = edges.map((edge) => ((edge - start) / (end - start || 1)) * full);
  let widened = 0;
  for (let index = 1; index <= parts; index += 1) {
    if (places[index] - places[index - 1] < least) {
      places[index] = places[index - 1] + least;
      widened += 1;
    }
  }
  places[parts] = full;
  for (let index = parts - 1; index > 0; index -= 1) places[index] = Math.min(places[index], places[index + 1] - least);

  const between = (from, to, value) => {
    const index = Math.max(
      0,
      from.findLastIndex((edge, place) => place < parts && edge <= value),
    );
    const share = (value - from[index]) / (from[index + 1] - from[index] || 1);
    return to[index] + Math.min(1, Math.max(0, share)) * (to[index + 1] - to[index]);
  };
  return { places, width: full, widened, at: (time) => between(edges, places, time), time: (place) => between(places, edges, place) };
}

const SECOND = 1000;
const DAY = 86_400 * SECOND;
const STEPS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200]
  .map((seconds) => seconds * SECOND)
  .concat([1, 2, 7, 14].map((days) => days * DAY));
const MONTHS = [1, 3, 6, 12, 24, 60, 120];

/** Round moments in UTC between two times, about as many as asked for, with their labels. */
export function ticks(start, end, count) {
  const wanted = (end - start) / Math.max(1, count);
  const step = STEPS.find((size) => size >= wanted);
  const moments = step ? even(start, end, step) : monthly(start, end, MONTHS.find((months) => months * 30 * DAY >= wanted) ?? 240);
  return moments.map((time, index) => ({ time, label: label(time, step, index ? moments[index - 1] : null) }));
}

function even(start, end, step) {
  const moments = [];
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) moments.push(time);
  return moments;
}

function monthly(start, end, months) {
  const moments = [];
  const first = new Date(start);
  let month = Math.floor((first.getUTCFullYear() * 12 + first.getUTCMonth()) / months) * months;
  for (let time = -Infinity; time <= end; month += months) {
    time = Date.UTC(Math.floor(month / 12), month % 12, 1);
    if (time >= start && time <= end) moments.push(time);
  }
  return moments;
}

function label(time, step, before) {
  const iso = new Date(time).toISOString();
  if (!step || step >= DAY) return iso.slice(0, 10);
  const clock = iso.slice(11, step < 60 * SECOND ? 19 : 16);
  const newDay = before === null || new Date(before).toISOString().slice(0, 10) !== iso.slice(0, 10);
  return newDay ? `${iso.slice(0, 10)} ${clock}` : clock;
}
