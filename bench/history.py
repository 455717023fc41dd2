"""History: a batch of changes as the history grows, dbt's snapshot beside it, and the layouts of the dimension."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.history_layouts import CODECS, LAYOUTS, QUERIES
from bench.measure import Subject
from bench.plots import drawn
from bench.suite import Case, Results, Section, Table, Verdict

TITLE = "History"

OURS, _STOCK = "this project", "dbt snapshot"
_DIMENSION = "dim_sf_user_scd"
_MODELS = ("stg_sf_user_changes", "int_sf_user_changes", "int_sf_user_versions", _DIMENSION)
_MOST = 3.0
_SIZES, _QUICK_SIZES = (100_000, 1_000_000, 10_000_000), (5_000, 50_000)
TRINO_SIZES = (100_000, 1_000_000)
_LAYOUT_VERSIONS = 1_000_000
_CHANGES, _QUICK_CHANGES = 1_000, 200


def cases(*, quick: bool) -> Sequence[Case]:
    """Sizes on DuckDB, scattered and recent; the same on Trino; layouts on Trino.

    :param quick: DuckDB alone, on small histories.
    """
    sizes, changes = (_QUICK_SIZES, _QUICK_CHANGES) if quick else (_SIZES, _CHANGES)
    found = [
        Case(
            key=_key(versions, recent),
            subjects={
                name: Subject(
                    f"bench.history_runs:{function}", {"versions": versions, "changes": changes, "recent": recent}
                )
                for name, function in ((OURS, "on_duckdb"), (_STOCK, "by_snapshot"))
            },
            rounds=1 if quick else 3,
            most_seconds=1_800,
        )
        for recent in ((False,) if quick else (False, True))
        for versions in sizes
    ]
    if quick:
        return found
    for versions in TRINO_SIZES:
        options = {"versions": versions, "changes": changes}
        subjects = {OURS: Subject("bench.history_runs:on_trino", options)}
        found.append(Case(key=f"trino {versions}", subjects=subjects, rounds=1, most_seconds=1_800))
    options = {"versions": _LAYOUT_VERSIONS, "changes": changes, "rounds": 3}
    subjects = {OURS: Subject("bench.history_layouts:layouts", options)}
    return [*found, Case(key="layouts", subjects=subjects, rounds=1, most_seconds=3_600)]


def sections(results: Results, *, plots: Path) -> Sequence[Section]:
    """Growth on DuckDB and Trino, dbt's snapshot beside it, and the layouts.

    :param results: of this suite.
    :param plots: where the plot goes.
    """
    return [_growth(results, plots), _against_snapshot(results), _on_trino(results), _layouts(results)]


def _growth(results: Results, plots: Path) -> Section:
    quick = not any(results.of(_key(size, False), OURS) for size in _SIZES)
    sizes = _QUICK_SIZES if quick and results.of(_key(_QUICK_SIZES[0], False), OURS) else _SIZES
    verdicts, tables = [], []
    for recent in (False, True):
        nodes = next((found for size in sizes if (found := _nodes(results, _key(size, recent)))), [])
        if recent and sizes == _QUICK_SIZES:
            continue
        for what, unit in (("cpu", "CPU"), ("wall", "wall time")):
            least, most = (results.fact(_key(size, recent), OURS, f"{what} {_DIMENSION}") for size in ends(sizes))
            verdicts.append(
                Verdict.at_most(
                    f"{_DIMENSION}, {unit}: {sizes[-1]:,} versions against {sizes[0]:,}, {_kind(recent)}",
                    _MOST,
                    most / least if most is not None and least else None,
                    "×",
                )
            )
        header = [f"{_kind(recent)}: node", *(f"{size:,}: CPU s / wall s / MB read" for size in sizes)]
        rows = [[node, *(_cost(results, _key(size, recent), OURS, node) for size in sizes)] for node in nodes]
        files = [_files(results, _key(size, recent), OURS) for size in sizes]
        tables.append(Table(header=header, rows=[*rows, ["files rewritten / added / delete files", *files]]))
    return Section(
        heading="A thousand changes on a history that grows: DuckDB",
        text=(
            "One batch, each change of another user, through `dbt build` of the dimension: models and tests, in one "
            "process, through the Iceberg REST endpoint. *Scattered*: over the whole table. *Recent*: among the newest "
            "5 % of the users. The target is for the dimension's model. Tests of the dimension read all of it, so they "
            "grow with it, and so does int_sf_user_changes, which reads the log for all that was observed of the users."
        ),
        verdicts=verdicts,
        tables=tables,
        plots=[_plot(results, sizes, plots / "history.svg")],
    )


def _plot(results: Results, sizes: Sequence[int], path: Path) -> Path:
    def lines(recent: bool) -> dict[str, list[float | None]]:
        keys = [_key(size, recent) for size in sizes]
        costs = [[results.fact(key, OURS, f"cpu {node}") for node in _MODELS] for key in keys]
        return {
            f"ours: {_DIMENSION}": [cost[-1] for cost in costs],
            "ours: the four models": [sum(one or 0 for one in cost) if None not in cost else None for cost in costs],
            _STOCK: [results.fact(key, _STOCK, "cpu sf_user_snapshot") for key in keys],
        }

    with drawn(path, columns=2) as (_, axes):
        for axis, recent in zip(axes, (False, True), strict=True):
            for name, values in lines(recent).items():
                points = [(size, value) for size, value in zip(sizes, values, strict=True) if value is not None]
                if points:
                    axis.plot(*zip(*points, strict=True), marker="o", label=name)
            axis.set(
                xscale="log", yscale="log", xlabel="versions before", ylabel="CPU (s)",
                title=f"a batch of {_kind(recent)} changes, DuckDB",
            )  # fmt: skip
            axis.grid(visible=True, alpha=0.3)
        axes[0].legend(frameon=False)
    return path


def _against_snapshot(results: Results) -> Section:
    rows = []
    for recent in (False, True):
        for size in (*_QUICK_SIZES, *_SIZES):
            key = _key(size, recent)
            stock = results.fact(key, _STOCK, "cpu sf_user_snapshot")
            ours = [results.fact(key, OURS, f"cpu {node}") for node in _MODELS]
            if stock is None or None in ours:
                continue
            total = sum(one for one in ours if one is not None)
            memory = (results.median(key, name, "peak_mb") or 0 for name in (OURS, _STOCK))
            own, other = memory
            rows.append(
                [f"{size:,} {_kind(recent)}", f"{total:.2f}", f"{stock:.2f}", f"{stock / total:.1f}×",
                 f"{own:,.0f}", f"{other:,.0f}", _files(results, key, _STOCK)]
            )  # fmt: skip
    header = (
        "versions", "this project, CPU s", "dbt snapshot, CPU s", "ratio", "peak MB", "its peak MB",
        "its files rewritten / added / delete files",
    )  # fmt: skip
    return Section(
        heading="Against dbt snapshot",
        text=(
            "The same changes in the mirror, through the stock snapshot (check strategy on the row's hash) into a "
            "table with a row for each version. This project: four models, from the log to the dimension, no tests. "
            "A snapshot sees one state a run; what changed twice in between, or arrives late, it does not have."
        ),
        tables=[Table(header=header, rows=rows)],
    )


def _on_trino(results: Results) -> Section:
    verdicts, rows = [], []
    least, most = ends(TRINO_SIZES)
    for kind in ("scattered", "recent"):
        for what, name in (("scanned", "bytes scanned"), ("cpu", "CPU"), ("wall", "wall time")):
            one, other = (results.fact(f"trino {size}", OURS, f"{kind} {what} {_DIMENSION}") for size in (least, most))
            verdicts.append(
                Verdict.at_most(
                    f"Trino, {_DIMENSION}, {name}: {most:,} versions against {least:,}, {kind}",
                    _MOST,
                    other / one if one and other is not None else None,
                    "×",
                )
            )
        for what in ("files_rewritten", "files_added", "delete_files_added"):
            one, other = (results.fact(f"trino {size}", OURS, f"{kind} {what}") for size in (least, most))
            ratio = None if one is None or other is None else (other / one if one else other)
            words = what.replace("_", " ")
            verdicts.append(
                Verdict.at_most(f"Trino, {words}: {most:,} versions against {least:,}, {kind}", _MOST, ratio, "×")
            )
        for node in (*_MODELS, "scd_integrity", "unique_version_of_user", "all"):
            rows.append([f"{kind}: {node}", *(_trino_cost(results, size, kind, node) for size in TRINO_SIZES)])
    header = ["node", *(f"{size:,}: CPU s / wall s / MB scanned" for size in TRINO_SIZES)]
    return Section(
        heading="A thousand changes on a history that grows: Trino",
        text=(
            "The same on Trino, over a stand-in for S3. CPU and bytes are Trino's own (`physicalInputDataSize`), files "
            "those of the snapshot's summary. A MERGE writes position deletes; it rewrites no file. A batch reads the "
            "current rows three times: to see whether it follows on them, to compare, and to find the rows to delete. "
            "There is a file of them a bucket, and Trino reads a Parquet file of less than 3 MB whole: below some two "
            "million versions, bytes grow as the table does."
        ),
        verdicts=verdicts,
        tables=[Table(header=header, rows=rows)],
    )


def _layouts(results: Results) -> Section:
    def fact(*parts: str) -> float | None:
        return results.fact("layouts", OURS, "|".join(parts))

    def told(*parts: str) -> str:
        scanned, cpu, wall = (fact(*parts, what) for what in ("scanned", "cpu", "wall"))
        return "" if scanned is None else f"{scanned / 1e6:.2f} / {cpu or 0:.2f} / {wall or 0:.2f}"

    rows = []
    for layout in LAYOUTS:
        for codec in CODECS:
            size, files, added = fact(layout, codec, "bytes"), fact(layout, codec, "files"), None
            added = fact(layout, codec, "merge", "files")
            if size is None:
                continue
            answers = [told(layout, codec, query) for query in (*QUERIES, "merge")]
            rows.append([layout, codec.lower(), f"{size / 1e6:.1f} / {files:.0f}", *answers, f"{added or 0:.0f}"])
    header = [
        "layout",
        "codec",
        "MB / files",
        *(f"{one}: MB / CPU s / wall s" for one in (*QUERIES, "MERGE")),
        "files of it",
    ]
    return Section(
        heading="Layouts and codecs of the dimension",
        text=(
            f"{_LAYOUT_VERSIONS:,} versions on Trino; the queries are those of docs/queries.md, all columns read. "
            "The MERGE is the one that dbt runs for a thousand scattered changes. The default is `(is_current, "
            "bucket(8, user_id))` with zstd: decision 9 says why." + ("" if rows else " Not measured this time.")
        ),
        tables=[Table(header=header, rows=rows)] if rows else [],
    )


def ends(sizes: Sequence[int]) -> tuple[int, int]:
    """The first and the last.

    :param sizes: ascending.
    """
    return sizes[0], sizes[-1]


def _key(versions: int, recent: bool) -> str:
    return f"duckdb {versions} {_kind(recent)}"


def _kind(recent: bool) -> str:
    return "recent" if recent else "scattered"


def _nodes(results: Results, case: str) -> list[str]:
    samples = results.of(case, OURS)
    return [name.removeprefix("cpu ") for name in samples[0].facts if name.startswith("cpu ")] if samples else []


def _cost(results: Results, case: str, subject: str, node: str) -> str:
    cpu, wall, read = (results.fact(case, subject, f"{what} {node}") for what in ("cpu", "wall", "read"))
    return "" if cpu is None else f"{cpu:.2f} / {wall or 0:.2f} / {(read or 0) / 1e6:,.1f}"


def _trino_cost(results: Results, size: int, kind: str, node: str) -> str:
    cpu, wall, scanned = (
        results.fact(f"trino {size}", OURS, f"{kind} {what} {node}") for what in ("cpu", "wall", "scanned")
    )
    return "" if cpu is None else f"{cpu:.2f} / {wall or 0:.2f} / {(scanned or 0) / 1e6:,.1f}"


def _files(results: Results, case: str, subject: str) -> str:
    found = [results.fact(case, subject, what) for what in ("files_rewritten", "files_added", "delete_files_added")]
    return " / ".join(f"{one:.0f}" for one in found if one is not None)
