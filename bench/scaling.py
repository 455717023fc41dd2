"""What a run takes at other sizes than were measured: calls, bytes, seconds and dollars, worked out from the record.

Each figure is a straight line through two measurements, or a count that the code fixes. Where a measurement lacks, the
figure is None, and nothing is guessed in its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench import extraction, history, pipeline_run
from bench.prices import ATHENA_LEAST_MB, ATHENA_TERABYTE, REST_PAGE
from bench.results import Record
from bench.upsert_shapes import OURS, STEP, Shape
from include.config.object_file import read_object_files
from include.salesforce.bulk_pages import PARALLEL_FROM

#: Of the records, so many change between two runs: the share of the run that is measured (100 of 5,000).
CHANGED = pipeline_run.CHANGES / pipeline_run.USERS
#: Versions of a record: those of the histories that are measured.
VERSIONS = 5
RUNS_A_DAY = 4
#: Records of a page of a Bulk result that is read by its locators.
BULK_PAGE = 50_000
_MEGA, _TERA = 1e6, 1e12


@dataclass(frozen=True)
class Line:
    """So much at least, and so much for each.

    :param fixed: whatever the number.
    :param each: for each of them.
    """

    fixed: float
    each: float

    def at(self, number: float) -> float:
        """Its value.

        :param number: of them.
        """
        return self.fixed + self.each * number

    @classmethod
    def through(cls, first: tuple[float, float | None], second: tuple[float, float | None]) -> Line | None:
        """The line through two measurements; what noise would make negative is nothing.

        :param first: number, and what was measured.
        :param second: likewise, at a greater number.
        """
        (few, low), (many, high) = first, second
        if low is None or high is None:
            return None
        each = max(0.0, (high - low) / (many - few))
        return cls(fixed=max(0.0, low - each * few), each=each)


@dataclass(frozen=True)
class Run:
    """One run of one object.

    :param records: of the object.
    :param read: records that the run reads.
    :param calls: API requests.
    :param received: bytes from Salesforce.
    :param staged: bytes of staged Parquet.
    :param extract_cpu: seconds of the worker's CPU.
    :param upsert_cpu: likewise, by the worker.
    :param history_cpu: seconds of the SQL engine's CPU.
    :param scanned: bytes that the SQL engine reads.
    :param athena: dollars for them.
    """

    records: int
    read: int
    calls: float | None
    received: float | None
    staged: float | None
    extract_cpu: float | None
    upsert_cpu: float | None
    history_cpu: float | None
    scanned: float | None
    athena: float | None


class Scaling:
    """What the measurements say about sizes that were not measured.

    :param record: of a full run.
    """

    def __init__(self, record: Record) -> None:
        self._extraction, self._history = record.of("extraction"), record.of("history")
        self._upsert, self._grid, self._run = record.of("upsert"), record.of("upsert_grid"), record.of("pipeline_run")
        self._bulk_from = read_object_files()["user"].bulk_from_rows

    def incremental(self, records: int) -> Run:
        """A run that reads what has changed.

        :param records: of the object.
        """
        return self._run_of(records, math.ceil(records * CHANGED))

    def full(self, records: int) -> Run:
        """A run that reads everything, of which as much has changed as for any other run.

        :param records: of the object.
        """
        return self._run_of(records, records)

    def _run_of(self, records: int, read: int) -> Run:
        changed = math.ceil(records * CHANGED)
        return Run(
            records=records,
            read=read,
            calls=self.calls(read),
            received=_at(self._extracted("bytes received"), read),
            staged=_at(self._extracted("bytes staged"), read),
            extract_cpu=_at(self._extracted("cpu"), read),
            upsert_cpu=self.upsert_cpu(records, changed),
            history_cpu=_at(self._of_trino("cpu"), records * VERSIONS),
            scanned=_at(self._of_trino("scanned"), records * VERSIONS),
            athena=self.athena_dollars(records),
        )

    # Salesforce

    def calls(self, read: int) -> float | None:
        """API requests of a run, its plan included.

        :param read: records that it reads.
        """
        results = self._extraction
        if read < self._bulk_from:
            counted = _sum(self._calls(extraction.CALLS), results.fact(extraction.CALLS, extraction.OURS, _PLANNED))
            return None if counted is None else counted - _pages(extraction.CALLED) + _pages(read)
        at = {size: self._calls(extraction.rows_key(size)) for size in extraction.SIZES}
        small, large, huge = extraction.SIZES
        planned = results.fact(extraction.rows_key(small), extraction.OURS, _PLANNED)
        if read <= PARALLEL_FROM:
            fixed, measured = at[small], math.ceil(small / BULK_PAGE)
            return _sum(fixed, planned, math.ceil(read / BULK_PAGE) - measured)
        return _sum(_at(Line.through((large, at[large]), (huge, at[huge])), read), planned)

    def _calls(self, key: str) -> float | None:
        return self._extraction.fact(key, extraction.OURS, "API calls")

    def _extracted(self, what: str) -> Line | None:
        def measured(size: int) -> float | None:
            key = extraction.rows_key(size)
            if what == "cpu":
                return self._extraction.median(key, extraction.OURS, "cpu")
            return self._extraction.fact(key, extraction.OURS, what)

        small, large, huge = extraction.SIZES
        most = huge if measured(huge) is not None else large
        return Line.through((small, measured(small)), (most, measured(most)))

    # The upsert

    def upsert_cpu(self, records: int, changed: int) -> float | None:
        """Seconds of CPU of the worker's step, changes scattered, rows narrow: files that hold a change are rewritten.

        :param records: of the table.
        :param changed: of them.
        """
        rewriting, appending = self._rewriting, self._appending
        if rewriting is None or appending is None:
            return None
        files = max(1.0, records / _ROWS_A_FILE)
        touched = records * (1 - (1 - 1 / files) ** changed) if files > 1 else records
        return rewriting.at(touched) + appending * changed

    @property
    def _rewriting(self) -> Line | None:
        """By rows of the files that are rewritten, whatever few rows change in them."""
        small = Shape(100_000, 1_000, "scattered").key
        large = Shape(1_000_000, 1_000, "scattered").key
        return Line.through(
            (100_000, self._grid.median(small, OURS, "cpu")), (1_000_000, self._upsert.median(large, OURS, "cpu"))
        )

    @property
    def _appending(self) -> float | None:
        """By changed row: the whole step, log and all, of as many changes as rows, less the rewriting."""
        step, rewriting = self._upsert.median(_ALL.key, STEP, "cpu"), self._rewriting
        if step is None or rewriting is None:
            return None
        return max(0.0, step - rewriting.at(_ALL.rows)) / _ALL.count

    def wide(self) -> float | None:
        """How many times as much CPU the merge takes with 68 columns, scattered changes."""
        wide = self._upsert.median(Shape(1_000_000, 1_000, "scattered", wide=True).key, OURS, "cpu")
        narrow = self._upsert.median(Shape(1_000_000, 1_000, "scattered").key, OURS, "cpu")
        return wide / narrow if wide and narrow else None

    def checked(self) -> list[tuple[str, float, float]]:
        """Cases that the line was not drawn through: what, seconds of CPU as worked out, as measured."""
        found = []
        for rows, changes in ((5_000, 100), (1_000_000, 100_000), (5_000_000, 1_000), (5_000_000, 100_000)):
            shape = Shape(rows, changes, "scattered")
            measured, rewriting = self._grid.median(shape.key, OURS, "cpu"), self._rewriting
            if measured is not None and rewriting is not None:
                files = max(1.0, rows / _ROWS_A_FILE)
                touched = rows * (1 - (1 - 1 / files) ** changes) if files > 1 else rows
                found.append((shape.key, rewriting.at(touched), measured))
        return found

    def first_load_rows(self, gigabytes: float) -> float | None:
        """Narrow rows that a worker can take in at once: it holds all of them.

        :param gigabytes: of memory that it may use.
        """
        least = self._grid.median(Shape(5_000, 100, "scattered").key, OURS, "peak_mb")
        most = self._upsert.median(_ALL.key, STEP, "peak_mb")
        if least is None or most is None or most <= least:
            return None
        return (gigabytes * 1_000 - least) / ((most - least) / _ALL.count)

    def upsert_peak(self) -> float | None:
        """MB of the merge of few changes into the largest table that was measured."""
        return self._upsert.median(Shape(5_000_000, 10_000, "clustered").key, OURS, "peak_mb")

    # History and dollars

    def _of_trino(self, what: str) -> Line | None:
        sizes = history.TRINO_SIZES
        few, many = ((size, self._trino(size, f"scattered {what} all")) for size in (sizes[0], sizes[-1]))
        return Line.through(few, many)

    def _trino(self, size: int, fact: str) -> float | None:
        return self._history.fact(f"trino {size}", history.OURS, fact)

    def athena_dollars(self, records: int) -> float | None:
        """For what the history reads of an object in a run, each node of dbt a statement.

        :param records: of the object.
        """
        samples = self._history.of(f"trino {history.TRINO_SIZES[-1]}", history.OURS)
        prefix = "scattered scanned "
        nodes = [name.removeprefix(prefix) for name in (samples[0].facts if samples else {}) if name.startswith(prefix)]
        dollars = 0.0
        for node in nodes:
            if node == "all":
                continue
            few, many = ((size, self._trino(size, prefix + node)) for size in history.TRINO_SIZES)
            line = Line.through(few, many)
            if line is None:
                return None
            scanned = max(line.at(records * VERSIONS), ATHENA_LEAST_MB.value * _MEGA)
            dollars += scanned / _TERA * ATHENA_TERABYTE.value
        return dollars or None

    # Airflow

    @property
    def run_seconds(self) -> float | None:
        """Wall time of the run that was measured, Airflow included."""
        return self._run.fact(pipeline_run.RUN, pipeline_run.OURS, "run")

    @property
    def dbt_seconds(self) -> float | None:
        """Of its dbt group."""
        return self._run.fact(pipeline_run.RUN, pipeline_run.OURS, "dbt group wall")

    @property
    def task_processes(self) -> float | None:
        """Of that run."""
        return self._run.fact(pipeline_run.RUN, pipeline_run.OURS, "task processes")


_ALL = Shape(100_000, 100_000, "scattered")
#: Narrow rows of a file of the mirror at its default size.
_ROWS_A_FILE = 100_000
_PLANNED = "API calls of the plan"


def _pages(rows: int) -> int:
    return max(1, math.ceil(rows / REST_PAGE.value))


def _at(line: Line | None, number: float) -> float | None:
    return None if line is None else line.at(number)


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
