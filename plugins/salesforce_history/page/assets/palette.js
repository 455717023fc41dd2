// A look a value: colour and pattern, so that nobody depends on colour alone.
const TONES = 8;

/** value → class name; the order of the list decides, and null has a look of its own. */
export function palette(values) {
  const known = new Map();
  for (const value of values) {
    if (value !== null && value !== undefined && !known.has(value))
      known.set(value, `tone tone-${known.size % TONES} pattern-${Math.floor(known.size / TONES) % 3}`);
  }
  return (value) => known.get(value) ?? "tone tone-null";
}

/** The line of a chart for the value at this place: its colour (a CSS variable) and its dashes. */
export function stroke(index) {
  const dashes = [[], [8, 3], [2, 3], [10, 3, 2, 3]];
  return { colour: `--line-${index % TONES}`, dash: dashes[Math.floor(index / TONES + index) % dashes.length] };
}
