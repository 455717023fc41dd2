"""Upserts: this project's merge against pyiceberg's `Table.upsert`, on the same tables and the same changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measure import Subject
from bench.suite import MEASURES, Case, Results, Section, Table, Verdict

TITLE = "Upsert"

OURS, STEP, THEIRS, FLOOR = "ours", "ours (log and mirror)", "pyiceberg upsert", "floor"
_FUNCTIONS = {OURS: "merge", STEP: "step", THEIRS: "pyiceberg", FLOOR: "floor"}
_MODULE = "bench.upsert_subjects"
#: (rows, changes, where, wide) → CPU ratio at least, peak (MB) at most.
TARGETS: dict[tuple[int, int, str, bool], tuple[float, float]] = {
    (1_000_000, 10_000, "clustered", False): (8, 300),
    (5_000_000, 10_000, "clustered", False): (10, 400),
    (1_000_000, 1_000, "scattered", False): (1.5, 450),
    (100_000, 100_000, "scattered", False): (15, 320),
    (1_000_000, 10_000, "clustered", True): (10, 500),
    (1_000_000, 1_000, "scattered", True): (1.5, 900),
}
_ROWS = (5_000, 100_000, 1_000_000, 5_000_000)
_CHANGES = (100, 1_000, 10_000, 100_000)
_QUICK = ((5_000, 100, "scattered"), (100_000, 10_000, "clustered"), (100_000, 1_000, "scattered"))
#: Wall seconds at which a subject is stopped.
_PATIENCE, _LESS_PATIENCE = 300, 90
_SIZES = "small files"

_TEXT = """
A mirror sorted by id, in files as a first load leaves them. Nine of ten changes replace a row, one of ten is new, at
the end. *Clustered*: the rows that change are among the newest 5 % (or among the newest of as many rows as change, if
that is more); *scattered*: anywhere. *Narrow*: the user's 12 columns; *wide*: 68. Changes come as an Arrow table,
without older and without equal rows, because pyiceberg's upsert would let an older one win.

- **ours**: the merge with its guarantees: the newest wins, an equal row is left alone, one snapshot, refused if
  anybody has committed since. The targets are about this one.
- **ours (log and mirror)**: the whole step of a run: staged Parquet, hashes, the append to the changes log, the
  merge, the watermark. It does more than the alternative does.
- **pyiceberg upsert**: `Table.upsert(rows, join_cols=["id"])`: three snapshots.
- **floor**: the least with Arrow alone: read the ids where a change can be, rewrite the files that hold one, with
  Arrow's defaults. Below 1× means less CPU than that: no dictionary is built for columns in which nothing recurs.

After each measurement DuckDB compares all rows and columns with what it has worked out from the same files. A peak
has the interpreter and its imports in it, about 150 MB.
"""


def cases(*, quick: bool) -> list[Case]:
    """See `Suite`.

    :param quick: three small cases and thirty runs.
    """
    if quick:
        listed = [_case(rows, count, where, False, False, rounds=1) for rows, count, where in _QUICK]
        return [*listed, _sizes(runs=30)]
    made = [_case(rows, count, where, wide, False, rounds=3, step=True) for rows, count, where, wide in TARGETS]
    targeted = {case.key for case in made}
    return [
        *_preparations(),
        *made,
        *(case for case in map(_grid_case, grid()) if case.key not in targeted),
        _sizes(runs=1_000),
    ]


def grid() -> Iterator[tuple[int, int, str, bool, bool]]:
    """Rows, changes, where, wide, bucketed; where all rows change there is no clustered and scattered.

    Five million wide rows are measured without partitions only.
    """
    for rows in _ROWS:
        for count in _CHANGES:
            for where in ("clustered", "scattered"):
                for wide in (False, True):
                    for bucketed in (False, True):
                        if count > rows or (count == rows and where == "clustered"):
                            continue
                        if not (rows == _ROWS[-1] and wide and bucketed):
                            yield rows, count, where, wide, bucketed


def key_of(rows: int, count: int, where: str, wide: bool, bucketed: bool) -> str:
    """Of a case."""
    width, layout = "wide" if wide else "narrow", "bucket(8)" if bucketed else "unpartitioned"
    return f"{_short(rows)} rows, {_short(count)} {where}, {width}, {layout}"


def _grid_case(shape: tuple[int, int, str, bool, bool]) -> Case:
    return _case(*shape, rounds=1)


def _case(rows: int, count: int, where: str, wide: bool, bucketed: bool, *, rounds: int, step: bool = False) -> Case:
    huge = wide and rows == _ROWS[-1]
    names = [OURS, *([STEP] if step else []), THEIRS, *([] if huge else [FLOOR])]
    options = {"rows": rows, "count": count, "where": where, "wide": wide, "bucketed": bucketed}
    return Case(
        key=key_of(rows, count, where, wide, bucketed),
        subjects={name: Subject(f"{_MODULE}:{_FUNCTIONS[name]}", options) for name in names},
        rounds=rounds,
        most_mb=14_000,
        most_seconds=_LESS_PATIENCE if wide and rounds == 1 else _PATIENCE,
    )


def _preparations() -> list[Case]:
    """Tables and changes are made before anything is measured, because a measurement's patience includes it."""
    found: dict[str, Case] = {}
    for rows, count, where, wide, bucketed in grid():
        options = {"rows": rows, "count": count, "where": where, "wide": wide, "bucketed": bucketed}
        key = "prepare " + key_of(rows, count, where, wide, bucketed)
        found[key] = Case(key=key, subjects={"prepare": Subject(f"{_MODULE}:prepare", options)}, rounds=1)
    return list(found.values())


def _sizes(*, runs: int) -> Case:
    return Case(key=_SIZES, subjects={OURS: Subject("bench.upsert_files:thousand", {"runs": runs})}, rounds=1)


def sections(results: Results, *, plots: Path) -> list[Section]:  # noqa: ARG001 - a Suite is given it
    """See `Suite`.

    :param results: of this suite.
    :param plots: none is drawn.
    """
    targets = [(key_of(*shape, False), *limits) for shape, limits in TARGETS.items()]
    if not any(results.of(key, OURS) for key, *_ in targets):
        shapes = [(*shape, False, False) for shape in _QUICK]
        return [_grid_section(results, shapes), _files_section(results)]
    verdicts = []
    for key, ratio, peak in targets:
        verdicts.append(
            Verdict.at_least(f"{key}: CPU against pyiceberg", ratio, results.ratio(key, THEIRS, OURS, "cpu"), "×")
        )
        verdicts.append(Verdict.at_most(f"{key}: peak memory", peak, results.median(key, OURS, "peak_mb"), " MB"))
    rows = [row for key, *_ in targets for name in (OURS, STEP, THEIRS, FLOOR) for row in _lines(results, key, name)]
    header = ("case", "who", "CPU s", "spread", "wall s", "peak MB", "× the floor's CPU")
    return [
        Section(heading="Targets", text=_TEXT, verdicts=verdicts, tables=[Table(header=header, rows=rows)]),
        _grid_section(results, list(grid())),
        _files_section(results),
    ]


def _lines(results: Results, key: str, name: str) -> Iterator[list[str]]:
    spread = results.spread(key, name, "cpu")
    cpu, wall, peak = (results.median(key, name, measure) for measure in MEASURES)
    if spread is None or cpu is None or wall is None or peak is None:
        yield [key, name, results.outcome(key, name), "", "", "", ""]
        return
    above = results.ratio(key, name, FLOOR, "cpu")
    yield [
        key,
        name,
        f"{cpu:.2f}",
        f"{spread[0]:.2f}-{spread[1]:.2f}",
        f"{wall:.2f}",
        f"{peak:,.0f}",
        "" if above is None else f"{above:.2f}",
    ]


def _grid_section(results: Results, shapes: Sequence[tuple[int, int, str, bool, bool]]) -> Section:
    keys = [key_of(*shape) for shape in shapes]
    ratios = {key: results.ratio(key, THEIRS, OURS, "cpu") for key in keys}
    told = {key: ratio for key, ratio in ratios.items() if ratio is not None}
    stopped = [
        key for key in keys if results.of(key, OURS) and results.outcome(key, THEIRS) in {"too long", "too much memory"}
    ]
    slower = [key for key, ratio in told.items() if ratio < 1]
    failed = [key for key in keys if key not in told and key not in stopped]
    least = min(told.items(), key=lambda item: item[1], default=None)
    verdict = Verdict(
        what=f"never slower than pyiceberg's upsert, in {len(keys)} cases",
        target="at least 1× in each",
        measured=(f"least {least[1]:.2f}× ({least[0]})" if least else "not measured")
        + (f"; {len(slower)} slower" if slower else "")
        + (f"; {len(failed)} not measured" if failed else ""),
        met=None if failed and not slower else not slower,
    )
    text = (
        "CPU seconds and peak memory (MB), one measurement each. Where pyiceberg was stopped, the case counts as not "
        f"slower: ours had ended by itself under the same limits (memory 14 GB; wall {_LESS_PATIENCE} s if wide, "
        f"{_PATIENCE} s for the others, preparation and check included). Five million wide rows are measured without "
        "partitions and without the floor, to keep the whole suite short."
    )
    header = ("case", "ours s", "pyiceberg s", "ratio", "ours MB", "pyiceberg MB", "ours : floor")
    return Section(
        heading="The whole grid",
        text=text,
        verdicts=[verdict],
        tables=[Table(header=header, rows=[_row(results, key) for key in keys])],
    )


def _row(results: Results, key: str) -> list[str]:
    def told(name: str, measure: str, form: str) -> str:
        value = results.median(key, name, measure)  # type: ignore[arg-type]
        return results.outcome(key, name) if value is None else format(value, form)

    ratio, above = results.ratio(key, THEIRS, OURS, "cpu"), results.ratio(key, OURS, FLOOR, "cpu")
    return [
        key,
        told(OURS, "cpu", ".2f"),
        told(THEIRS, "cpu", ".2f"),
        "" if ratio is None else f"{ratio:.1f}×",
        told(OURS, "peak_mb", ",.0f"),
        told(THEIRS, "peak_mb", ",.0f"),
        "" if above is None else f"{above:.2f}",
    ]


def _files_section(results: Results) -> Section:
    def fact(name: str) -> float | None:
        return results.fact(_SIZES, OURS, name)

    names = ("runs", "rows", "most data files", "most manifests", "most metadata KB", "files at the end")
    text = (
        "Small upserts, one after the other: 50 changes anywhere and 5 new records each, into 5,000; the upkeep "
        "of the mirror runs after every 28th, as it does once a week beside a run every six hours. The most "
        "that was seen after any run:"
    )
    verdict = Verdict.at_most("small files: data files over the runs", 8, fact("most data files"), "")
    row = ["not measured" if (value := fact(name)) is None else f"{value:,.0f}" for name in names]
    return Section(heading="Small files", text=text, verdicts=[verdict], tables=[Table(header=names, rows=[row])])


def _short(count: int) -> str:
    return f"{count // 1_000_000}M" if count >= 1_000_000 else f"{count // 1_000}k" if count >= 1_000 else str(count)
