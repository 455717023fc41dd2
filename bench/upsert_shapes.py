"""The cases of an upsert: how large the table, how many changes, where; and who is measured on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from bench.measure import Subject
from bench.suite import Case
from bench.upsert_data import Where

OURS, STEP, THEIRS, FLOOR = "ours", "ours (log and mirror)", "pyiceberg upsert", "floor"
_FUNCTIONS = {OURS: "merge", STEP: "step", THEIRS: "pyiceberg", FLOOR: "floor"}
_MODULE = "bench.upsert_subjects"
#: Memory (MB) at which a subject is stopped.
MOST_MB = 8_000


@dataclass(frozen=True)
class Shape:
    """A table and the changes to it.

    :param rows: of the table.
    :param count: of the changes.
    :param where: see `bench.upsert_data.ChangesShape`.
    :param wide: see `bench.upsert_data.TableShape`.
    :param bucketed: likewise.
    """

    rows: int
    count: int
    where: Where
    wide: bool = False
    bucketed: bool = False

    @property
    def key(self) -> str:
        """Of the case."""
        width, layout = "wide" if self.wide else "narrow", "bucket(8)" if self.bucketed else "unpartitioned"
        return f"{short(self.rows)} rows, {short(self.count)} {self.where}, {width}, {layout}"

    def case(self, names: Sequence[str], *, rounds: int, most_seconds: float, most_times: float | None = None) -> Case:
        """To be measured.

        :param names: of the subjects.
        :param rounds: how often.
        :param most_seconds: wall time at which a subject is stopped.
        :param most_times: see `Case`.
        """
        return Case(
            key=self.key,
            subjects={name: Subject(f"{_MODULE}:{_FUNCTIONS[name]}", asdict(self)) for name in names},
            rounds=rounds,
            most_mb=MOST_MB,
            most_seconds=most_seconds,
            most_times=most_times,
        )


def preparation(shapes: Iterable[Shape]) -> list[Case]:
    """Cases that make the tables and changes of others, each table once; nothing of it is measured.

    :param shapes: of the others.
    """
    listed: dict[str, list[dict[str, object]]] = {}
    for shape in shapes:
        table = f"prepare {short(shape.rows)} {'wide' if shape.wide else 'narrow'}{', bucket(8)' * shape.bucketed}"
        listed.setdefault(table, []).append(asdict(shape))
    return [
        Case(key=key, subjects={"prepare": Subject(f"{_MODULE}:prepare", {"shapes": options})}, rounds=1)
        for key, options in listed.items()
    ]


def short(count: int) -> str:
    """A round number in few characters.

    :param count: of rows.
    """
    return f"{count // 1_000_000}M" if count >= 1_000_000 else f"{count // 1_000}k" if count >= 1_000 else str(count)
