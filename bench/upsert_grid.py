"""Upserts of every size and kind: is this project's merge slower than pyiceberg's `Table.upsert` anywhere?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.plots import drawn
from bench.suite import LEAST_PATIENCE, Case, Measure, Results, Section, Table, Verdict
from bench.upsert_data import Where
from bench.upsert_shapes import FLOOR, MOST_MB, OURS, THEIRS, Shape, preparation

TITLE = "Upsert: the whole grid"

_ROWS = (5_000, 100_000, 1_000_000, 5_000_000)
_CHANGES = (100, 1_000, 10_000, 100_000)
_PLACES: tuple[Where, ...] = ("clustered", "scattered")
_QUICK = (
    Shape(5_000, 100, "scattered"),
    Shape(100_000, 10_000, "clustered"),
    Shape(100_000, 1_000, "scattered", bucketed=True),
)
#: Wall seconds at which ours is stopped; the others after so many times what ours took.
_PATIENCE, _TIMES = 300, 2


def cases(*, quick: bool) -> list[Case]:
    """See `Suite`.

    :param quick: three small cases.
    """
    made = [*preparation(shapes(quick=quick))]
    for shape in shapes(quick=quick):
        names = [OURS, THEIRS, *([] if _huge(shape) else [FLOOR])]
        made.append(shape.case(names, rounds=1, most_seconds=_PATIENCE, most_times=_TIMES))
    return made


def shapes(*, quick: bool) -> list[Shape]:
    """What is measured.

    :param quick: three of them.
    """
    return list(_QUICK) if quick else list(_grid())


def _grid() -> Iterator[Shape]:
    """Where all rows change there is no clustered and scattered."""
    for rows in _ROWS:
        for wide in (False, True):
            for bucketed in (False, True):
                for count in _CHANGES:
                    for where in _PLACES:
                        if count > rows or (count == rows and where == "clustered"):
                            continue
                        yield Shape(rows, count, where, wide, bucketed)


def _huge(shape: Shape) -> bool:
    return shape.wide and shape.rows == _ROWS[-1]


def sections(results: Results, *, plots: Path) -> list[Section]:
    """See `Suite`.

    :param results: of this suite.
    :param plots: where the plot goes.
    """
    listed = shapes(quick=not any(results.of(shape.key, OURS) for shape in shapes(quick=False) if shape not in _QUICK))
    keys = [shape.key for shape in listed]
    ratios = {key: ratio for key in keys if (ratio := results.ratio_at_least(key, THEIRS, OURS, "cpu")) is not None}
    stopped = sum(results.outcome(key, THEIRS).startswith("too") for key in ratios)
    slower = [key for key, ratio in ratios.items() if ratio < 1 and results.outcome(key, THEIRS) == "done"]
    missing = len(keys) - len(ratios)
    least = min(ratios.items(), key=lambda item: item[1], default=None)
    told = f"least {least[1]:.2f}× ({least[0]})" if least else "not measured"
    verdict = Verdict(
        what=f"never slower than pyiceberg's upsert, CPU, in {len(keys)} cases",
        target="at least 1× in each",
        measured=told
        + (f"; {len(slower)} slower" if slower else "")
        + (f"; {missing} not measured" if missing and ratios else ""),
        met=False if slower else None if missing else True,
    )
    text = (
        f"CPU seconds and peak memory (MB), one measurement each. Whoever takes {_TIMES} times the wall time of ours "
        f"and more than {LEAST_PATIENCE:.0f} s, or {MOST_MB / 1000:.0f} GB, is stopped, and `>` is how far it came: "
        f"pyiceberg's upsert in {stopped} of these cases. Five million wide rows are measured without the floor, to "
        "keep the suite short." + (f" {missing} cases were not measured, and have no row." if missing else "")
    )
    header = ("case", "ours s", "pyiceberg s", "ratio", "ours MB", "pyiceberg MB", "ours : floor")
    return [
        Section(
            heading="Every size and kind",
            text=text,
            verdicts=[verdict],
            tables=[Table(header=header, rows=[_row(results, key) for key in ratios])],
            plots=[_plot(results, listed, plots / "upsert-grid.svg")] if ratios else [],
        )
    ]


def _row(results: Results, key: str) -> list[str]:
    ratio, above = results.ratio_at_least(key, THEIRS, OURS, "cpu"), results.ratio(key, OURS, FLOOR, "cpu")
    return [
        key,
        _told(results, key, OURS, "cpu", ".2f"),
        _told(results, key, THEIRS, "cpu", ".2f"),
        "" if ratio is None else f"{_mark(results, key, THEIRS)}{ratio:.1f}×",
        _told(results, key, OURS, "peak_mb", ",.0f"),
        _told(results, key, THEIRS, "peak_mb", ",.0f"),
        "" if above is None else f"{above:.2f}",
    ]


def _told(results: Results, key: str, name: str, measure: Measure, form: str) -> str:
    value = results.reached(key, name, measure)
    return results.outcome(key, name) if not value else _mark(results, key, name) + format(value, form)


def _mark(results: Results, key: str, name: str) -> str:
    return "> " if results.outcome(key, name).startswith("too") else ""


def _plot(results: Results, listed: Sequence[Shape], path: Path) -> Path:
    with drawn(path, columns=2, height=4.6) as (figure, axes):
        for axis, wide in zip(axes, (False, True), strict=True):
            for where, colour in zip(_PLACES, ("#31a354", "#756bb1"), strict=True):
                for bucketed, filled in ((False, colour), (True, "none")):
                    points = [
                        (ours, theirs)
                        for one in listed
                        if (one.wide, one.where, one.bucketed) == (wide, where, bucketed)
                        if (ours := results.median(one.key, OURS, "cpu"))
                        if (theirs := results.reached(one.key, THEIRS, "cpu"))
                    ]
                    label = f"{where}, {'bucket(8)' if bucketed else 'unpartitioned'}"
                    axis.scatter(*zip(*points, strict=True) if points else ([], []), s=28, facecolors=filled,
                                 edgecolors=colour, label=label)  # fmt: skip
            for times in (1, 10):
                axis.plot((0.02, 100), (0.02 * times, 100 * times), color="grey", linestyle=":", linewidth=1)
                axis.annotate(f"{times}×", (0.025, 0.025 * times), color="grey", fontsize="small")
            axis.set(xscale="log", yscale="log", xlabel="ours, CPU s", ylabel="pyiceberg upsert, CPU s",
                     title="wide" if wide else "narrow")  # fmt: skip
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return path
