"""The page "Salesforce history": what a request takes, of each view, as the history grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.measure import Subject
from bench.page_lake import REFUSED, RUNS
from bench.page_views import VIEWS
from bench.suite import Case, Results, Section, Table, Verdict

TITLE = "The page in Airflow"

_OURS, _PREPARED = "this project", "prepared"
_SIZES, _QUICK_SIZES = (5_000, 1_000_000), (5_000, 100_000)
_MOST_CPU = 0.3

_TEXT = f"""
One request of each view, in a process that has served others: the answer as JSON, from asking the catalog where the
table is now. Without FastAPI and the session, which are Airflow's. *Cold*: the first one after a run has published,
when nothing of the new snapshot is kept yet; *warm*: any later one, the median of three. The dimension has five
versions a user, laid out as dbt does; more than half of all changes are within the 30 days that are asked for. The log
has 41 batches, of which each user is in five. {RUNS} runs are on record, and {REFUSED:,} records in the quarantine. A
peak has the interpreter and its imports in it, about 300 MB.
"""


def cases(*, quick: bool) -> Sequence[Case]:
    """Every view on a small and on a large history.

    :param quick: each once, and the large one is a tenth.
    """
    sizes, rounds = (_QUICK_SIZES, 1) if quick else (_SIZES, 3)
    prepared = [
        Case(
            key=f"a lake of {versions:,} versions",
            subjects={_PREPARED: Subject("bench.page_lake:prepare", {"versions": versions})},
            rounds=1,
        )
        for versions in sizes
    ]
    views = [
        Case(
            key=_key(view, versions),
            subjects={
                _OURS: Subject("bench.page_views:request", {"view": view, "versions": versions, "small": min(sizes)})
            },
            rounds=rounds,
        )
        for view in VIEWS
        for versions in sizes
    ]
    return [*prepared, *views]


def sections(results: Results, *, plots: Path) -> Sequence[Section]:  # noqa: ARG001 - the table says it
    """The targets, and the figures of each view.

    :param results: of this suite.
    :param plots: not used: the table says it.
    """
    quick = any(results.of(_key(view, _QUICK_SIZES[-1]), _OURS) for view in VIEWS)
    verdicts, rows = [], []
    for view in VIEWS:
        for versions in _QUICK_SIZES if quick else _SIZES:
            key = _key(view, versions)
            cold, warm = results.median(key, _OURS, "cpu"), results.fact(key, _OURS, "warm cpu")
            peaks = results.median(key, _OURS, "peak_mb"), results.fact(key, _OURS, "warm peak_mb")
            for state, cpu in (("cold", cold), ("warm", warm)):
                what = f"{view}, {versions:,} versions, {state}: CPU"
                verdicts.append(Verdict.at_most(what, _MOST_CPU, cpu, " s"))
            numbers = [*(_said(cpu, ".3f") for cpu in (cold, warm)), *(_said(peak, ",.0f") for peak in peaks)]
            kept = _said(results.fact(key, _OURS, "kept mb"), ",.1f")
            rows.append([view, f"{versions:,}", *numbers, kept])
    header = ["view", "versions", "cold: CPU s", "warm: CPU s", "cold: peak MB", "warm: peak MB", "kept MB"]
    return [
        Section(heading="A request", text=_TEXT.strip(), verdicts=verdicts, tables=[Table(header=header, rows=rows)])
    ]


def _key(view: str, versions: int) -> str:
    return f"{view}, {versions:,} versions"


def _said(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
