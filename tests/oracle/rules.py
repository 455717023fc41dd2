"""How often each rule of history occurred in a log, so that a test that never met a rule does not pass for proof."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.oracle.history_model import Step, steps, versions
from tests.oracle.log_model import Log, Observation
from tests.oracle.shapes import Shape

RULES = (
    "first observation",
    "tracked value changes",
    "A→B→A",
    "null→A",
    "A→null",
    "Type 1 only",
    "system only (SystemModstamp, not LastModifiedDate)",
    "nothing but dates changed",
    "deletion by absence",
    "return with an old cursor",
    "return with a new cursor",
    "soft delete",
    "undelete",
    "late commit",
    "unknown column",
    "unknown becomes known",
    "equal cursors",
    "effective_from = LastModifiedDate",
    "effective_from = SystemModstamp",
    "effective_from = window end",
    "effective_from = plus 1 us",
    "batch out of order",
    "duplicate batch",
    "quarantined but present",
    "volume guard refuses",
    "run fails for its rejected rows",
)


def count(log: Log) -> Counter[str]:
    """Occurrences of each rule over all records of a log."""
    found: Counter[str] = Counter()
    for known in log.by_record().values():
        found += count_record(log.shape, known)
    return found


def count_record(shape: Shape, observations: Sequence[Observation]) -> Counter[str]:
    """Occurrences of each rule in one record's history."""
    found: Counter[str] = Counter()
    previous: Observation | None = None
    for step in steps(shape, observations):
        found.update(_of_step(shape, step, previous))
        previous = step.observation
    history = versions(shape, observations)
    for one in history:
        found[f"effective_from = {one.rule}"] += 1
    for first, _, third in zip(history, history[1:], history[2:], strict=False):
        states = [tuple(one.values.get(name) for name in shape.tracked) for one in (first, _, third)]
        found["A→B→A"] += states[0] == states[2] != states[1]
    for earlier, later in itertools.pairwise(history):
        opener = later.opened_by.observation
        old = opener.values["lastmodifieddate"]
        found["late commit"] += (
            opener.change == "upsert"
            and isinstance(old, type(earlier.effective_from))
            and (old <= earlier.effective_from and not earlier.values["isdeleted"])
        )
    return found


def _of_step(shape: Shape, step: Step, previous: Observation | None) -> Iterable[str]:
    one, before, after = step.observation, step.before, step.after
    if before is None or previous is None:
        yield "first observation"
        return
    tracked = [name for name in step.changed if name in shape.tracked]
    if tracked:
        yield "tracked value changes"
    if any(before[name] is None for name in tracked):
        yield "null→A"
    if any(after[name] is None for name in tracked):
        yield "A→null"
    others = [name for name in shape.attributes if name not in shape.tracked and before.get(name) != after.get(name)]
    if not step.changed:
        yield "Type 1 only" if others else "nothing but dates changed"
    if before["lastmodifieddate"] == after["lastmodifieddate"] and before["systemmodstamp"] != after["systemmodstamp"]:
        yield "system only (SystemModstamp, not LastModifiedDate)"
    if set(shape.columns) - one.observed:
        yield "unknown column"
    if set(after) - set(before):
        yield "unknown becomes known"
    if one.cursor == previous.cursor:
        yield "equal cursors"
    yield from _of_deletion(step, previous)


def _of_deletion(step: Step, previous: Observation) -> Iterable[str]:
    one = step.observation
    if one.change == "delete":
        yield "deletion by absence"
    elif previous.change == "delete":
        yield "return with an old cursor" if one.cursor <= previous.cursor else "return with a new cursor"
    elif "isdeleted" in step.changed:
        yield "soft delete" if step.after["isdeleted"] else "undelete"


def table(counted: Counter[str]) -> str:
    """The counts as a table, every rule named, those that never occurred too."""
    width = max(len(name) for name in RULES)
    lines = [f"{'rule of history':<{width}}  {'occurred':>9}", "-" * (width + 11)]
    return "\n".join([*lines, *(f"{name:<{width}}  {counted[name]:>9,}" for name in RULES)])
