"""Upserts: this project's merge against pyiceberg's `Table.upsert`, on the same tables and the same changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.measure import Subject
from bench.plots import drawn
from bench.suite import MEASURES, Case, Measure, Results, Section, Table, Verdict
from bench.upsert_shapes import FLOOR, OURS, STEP, THEIRS, Shape, preparation

TITLE = "Upsert"

_NAMES = (OURS, STEP, THEIRS, FLOOR)
#: CPU ratio at least, peak (MB) at most.
TARGETS: dict[Shape, tuple[float, float]] = {
    Shape(1_000_000, 10_000, "clustered"): (8, 300),
    Shape(5_000_000, 10_000, "clustered"): (10, 400),
    Shape(1_000_000, 1_000, "scattered"): (1.5, 450),
    Shape(100_000, 100_000, "scattered"): (15, 320),
    Shape(1_000_000, 10_000, "clustered", wide=True): (10, 500),
    Shape(1_000_000, 1_000, "scattered", wide=True): (1.5, 900),
}
_PATIENCE = 300
_SIZES = "small files"
_PLOTTED: dict[Measure, str] = {"cpu": "CPU (s)", "peak_mb": "peak memory (MB)"}

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
has the interpreter and its imports in it, about 190 MB.
"""


def cases(*, quick: bool) -> list[Case]:
    """See `Suite`.

    :param quick: thirty small runs; small tables are in the grid.
    """
    if quick:
        return [_sizes(runs=30)]
    return [
        *preparation(TARGETS),
        *(shape.case(_NAMES, rounds=3, most_seconds=_PATIENCE) for shape in TARGETS),
        _sizes(runs=1_000),
    ]


def _sizes(*, runs: int) -> Case:
    return Case(key=_SIZES, subjects={OURS: Subject("bench.upsert_files:thousand", {"runs": runs})}, rounds=1)


def sections(results: Results, *, plots: Path) -> list[Section]:
    """See `Suite`.

    :param results: of this suite.
    :param plots: where the plot goes.
    """
    measured = [shape for shape in TARGETS if results.of(shape.key, OURS)]
    verdicts = []
    for shape, (ratio, peak) in TARGETS.items():
        key = shape.key
        verdicts.append(
            Verdict.at_least(f"{key}: CPU against pyiceberg", ratio, results.ratio(key, THEIRS, OURS, "cpu"), "×")
        )
        verdicts.append(Verdict.at_most(f"{key}: peak memory", peak, results.median(key, OURS, "peak_mb"), " MB"))
    rows = [row for shape in TARGETS for name in _NAMES for row in _lines(results, shape.key, name)]
    header = ("case", "who", "CPU s", "spread", "wall s", "peak MB", "× the floor's CPU")
    targets = Section(
        heading="Targets",
        text=_TEXT,
        verdicts=verdicts,
        tables=[Table(header=header, rows=rows)],
        plots=[_plot(results, measured, plots / "upsert.svg")] if measured else [],
    )
    return [*([targets] if measured or not results.of(_SIZES, OURS) else []), _files_section(results)]


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
        f"{spread[0]:.2f}-{spread[1]:.2f}" if len(results.of(key, name)) > 1 else "measured once",
        f"{wall:.2f}",
        f"{peak:,.0f}",
        "" if above is None else f"{above:.2f}",
    ]


def _plot(results: Results, shapes: Sequence[Shape], path: Path) -> Path:
    labels = [shape.key.removesuffix(", unpartitioned").replace(", ", "\n", 1) for shape in shapes]
    colours = {OURS: "#31a354", STEP: "#a1d99b", THEIRS: "#756bb1", FLOOR: "#bdbdbd"}
    with drawn(path, columns=2, height=4.6) as (figure, axes):
        for axis, (measure, title) in zip(axes, _PLOTTED.items(), strict=True):
            for place, name in enumerate(_NAMES):
                values = [
                    results.median(shape.key, name, "cpu" if measure == "cpu" else "peak_mb") or 0.0 for shape in shapes
                ]
                heights = [number + 0.2 * (place - 1.5) for number in range(len(shapes))]
                axis.barh(heights, values, height=0.18, color=colours[name], label=name)
            if measure == "peak_mb":
                for number, shape in enumerate(shapes):
                    most = TARGETS[shape][1]
                    axis.plot((most, most), (number - 0.4, number + 0.4), color="black", linestyle=":", linewidth=1)
            axis.set(title=title, yticks=range(len(shapes)))
            axis.set_yticklabels(labels if axis is axes[0] else [], fontsize="small")
            axis.invert_yaxis()
        axes[0].set_xscale("log")
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return path


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
