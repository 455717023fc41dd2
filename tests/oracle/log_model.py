"""The changes log and the mirror: which observations are kept, in which order they count, and which is the last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import cast

from tests.oracle.shapes import Row, Shape


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One row of the log.

    :param values: source columns; null for those that were not observed.
    :param observed: source columns that the read selected.
    :param change: `upsert`, or `delete` for a deletion found by absence.
    """

    values: Row
    observed: frozenset[str]
    change: str
    window_end: datetime
    extracted_at: datetime
    run_id: str

    @property
    def id(self) -> str:
        """Whose state it is."""
        return cast("str", self.values["id"])

    @property
    def cursor(self) -> datetime:
        """SystemModstamp: it moves with every change."""
        return cast("datetime", self.values["systemmodstamp"])

    @cached_property
    def place(self) -> tuple[datetime, datetime, datetime, str]:
        """Where it stands among the observations of its record, whenever it arrived."""
        tie = repr(sorted((name, repr(value)) for name, value in self.values.items() if value is not None))
        return (self.window_end, self.cursor, self.extracted_at, tie)

    def says_the_same(self, other: Observation) -> bool:
        """Kind and every source column are equal; a column that was not observed counts as null here."""
        return self.change == other.change and self.values == other.values


class Log:
    """Append-only observations of one object."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._of_record: dict[str, list[Observation]] = defaultdict(list)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def of(self, record: str) -> list[Observation]:
        """Observations of a record, in order."""
        return sorted(self._of_record.get(record, ()), key=lambda one: one.place)

    def by_record(self) -> Mapping[str, list[Observation]]:
        """Every record's observations, in order."""
        return {record: self.of(record) for record in sorted(self._of_record)}

    def append(self, observations: Iterable[Observation]) -> int:
        """Log those that differ from what is last known as of their window's end; all are judged before any is kept.

        :return: number of rows logged.
        """
        news = [one for one in observations if self._is_news(one)]
        for one in news:
            self._of_record[one.id].append(one)
        self._size += len(news)
        return len(news)

    def mirror(self) -> dict[str, Row]:
        """Last observation of each record."""
        return {record: known[-1].values for record, known in self.by_record().items()}

    def last(self, record: str) -> Observation | None:
        """Last observation of a record."""
        known = self.of(record)
        return known[-1] if known else None

    def _is_news(self, one: Observation) -> bool:
        before = [known for known in self.of(one.id) if known.window_end <= one.window_end]
        return not before or not one.says_the_same(before[-1])

    def deletion(self, record: str, *, window_end: datetime, extracted_at: datetime, run_id: str) -> Observation:
        """That a record is gone: what its last observation says, dated at the window's end.

        What that one did not observe stays unknown.
        """
        last = self.of(record)[-1]
        dates: Row = {"lastmodifieddate": window_end, "systemmodstamp": window_end}
        return Observation(
            values={**last.values, **dates, "isdeleted": True},
            observed=last.observed,
            change="delete",
            window_end=window_end,
            extracted_at=extracted_at,
            run_id=run_id,
        )
