// The versions of a record, and which of them held at a moment.
import { millis } from "./format.js";

/** Versions with their times as numbers; the last one has no end. */
export function timed(versions) {
  return versions.map((version, index) => ({
    ...version,
    number: index + 1,
    from: millis(version.effective_from),
    to: millis(version.effective_to),
  }));
}

export function versionAt(versions, at) {
  return versions.findLast((version) => version.from <= at) ?? null;
}
