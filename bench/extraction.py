"""Extraction: a Bulk 2.0 result to staged, typed Parquet, against what the stock Salesforce provider offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.measure import Subject
from bench.plots import drawn
from bench.suite import Case, Measure, Results, Section, Table, Verdict

TITLE = "Extraction"

OURS, _BULK, _REST = "ours", "bulk2 records", "make_query"
SIZES = _SMALL, _LARGE, _HUGE = 100_000, 1_000_000, 5_000_000
_FEW = 1_000
_JOBS = (0.0, 1.0)
_PAGES = "slow pages"
#: Read by REST, as so few are: `bench.scaling` takes the API calls from it.
CALLS, CALLED = "a few users by REST", 5_000
_ALONE = "ours, page after page"
_MODULE = "bench.extraction_subjects"


def cases(*, quick: bool) -> Sequence[Case]:
    """What is measured.

    :param quick: 100,000 users only.
    """
    stored, rounds = (_SMALL, 1) if quick else (_HUGE, 3)
    found = [Case(key=rows_key(rows), subjects=_all(rows, stored), rounds=rounds) for rows in _sizes(quick=quick)]
    if not quick:
        found.append(Case(key=rows_key(_HUGE), subjects={OURS: _subject("ours", _HUGE, stored)}, rounds=rounds))
        slow = {"page_seconds": 1.0}
        pages = {
            OURS: _subject("ours", _LARGE, stored, **slow),
            _ALONE: _subject("ours", _LARGE, stored, one_by_one=True, **slow),
            _BULK: _subject("bulk_records", _LARGE, stored, **slow),
        }
        found.append(Case(key=_PAGES, subjects=pages, rounds=1))
    for seconds in _JOBS:
        subjects = {
            OURS: _subject("ours", _FEW, stored, job_seconds=seconds),
            _BULK: _subject("bulk_records", _FEW, stored, job_seconds=seconds),
        }
        found.append(Case(key=_job(seconds), subjects=subjects, rounds=rounds))
    found.append(Case(key=CALLS, subjects={OURS: _subject("ours", CALLED, stored, rest=True)}, rounds=1))
    return found


def sections(results: Results, *, plots: Path) -> Sequence[Section]:
    """What is said of the results.

    :param results: of this suite.
    :param plots: folder that plots are written to.
    """
    sizes = [rows for rows in (_SMALL, _LARGE, _HUGE) if results.of(rows_key(rows), OURS)]
    return [_streamed(results, sizes, plots), _waiting(results), *_side_by_side(results)]


def _streamed(results: Results, sizes: Sequence[int], plots: Path) -> Section:
    verdicts = [
        Verdict.at_least(
            f"CPU of {other} to ours, {size:,} users", 10, results.ratio(rows_key(size), other, OURS, "cpu"), "×"
        )
        for size in (_LARGE,)
        for other in (_BULK, _REST)
    ]
    peaks = [results.median(rows_key(size), OURS, "peak_mb") for size in (_SMALL, _LARGE, _HUGE)]
    for size, peak in zip((_SMALL, _LARGE, _HUGE), peaks, strict=True):
        verdicts.append(Verdict.at_most(f"peak RSS, {size:,} users", 250, peak, " MB"))
    growth = None if peaks[1] is None or peaks[2] is None else peaks[2] - peaks[1]
    verdicts.append(Verdict.at_most(f"peak RSS at {_HUGE:,} users beyond that at {_LARGE:,}", 20, growth, " MB"))
    differing = [size for size in sizes if len(_digests(results, rows_key(size))) > 1]
    verdicts.append(Verdict.at_most("sizes at which the subjects did not leave equal rows", 0, len(differing), ""))
    rows = [
        [
            f"{size:,}",
            subject,
            *(_spread(results, rows_key(size), subject, measure) for measure in ("cpu", "wall", "peak_mb")),
            _figure(results.fact(rows_key(size), subject, "MB before")),
            _figure(results.fact(rows_key(size), subject, "API calls")),
        ]
        for size in sizes
        for subject in (OURS, _BULK, _REST)
        if results.outcome(rows_key(size), subject) != "not measured"
    ]
    header = ("users", "subject", "CPU s", "wall s", "peak MB", "MB before the clock", "API calls")
    return Section(
        heading="From Salesforce to typed Parquet",
        text=(
            "The same users of a simulated org, read over TLS on loopback; the org is another process, whose work is "
            "not counted (it is in the wall time). `bulk2 records`: the hook's connection, simple-salesforce's "
            "`bulk2.User.query`, csv.DictReader, `Table.from_pylist`, casts, Parquet. `make_query`: the hook's REST "
            "query, `Table.from_pylist`, casts, Parquet. Ours also counts afterwards, proves the Ids distinct and "
            "deletes its job. The stock subjects have Airflow's hook in memory, ours has not: see the column of what "
            "was held before the clock. The stock paths are not measured at 5 million users: they hold all rows. "
            "In parentheses: the least and the greatest of the rounds."
        ),
        verdicts=verdicts,
        tables=[Table(header=header, rows=rows)],
        plots=_plots(results, sizes, plots),
    )


def _waiting(results: Results) -> Section:
    verdicts = [
        Verdict.at_most(
            f"wall time, {_job(seconds)}: ours", seconds + 2, results.median(_job(seconds), OURS, "wall"), " s"
        )
        for seconds in _JOBS
    ]
    rows = [
        [_job(seconds), subject, _spread(results, _job(seconds), subject, "wall")]
        for seconds in _JOBS
        for subject in (OURS, _BULK)
    ]
    return Section(
        heading="Waiting for a job",
        text=(
            f"{_FEW:,} users; the job takes no time, or a second. Ours looks at once, then after waits that grow from "
            "0.2 s to 10 s; simple-salesforce sleeps 5 s before its first look."
        ),
        verdicts=verdicts,
        tables=[Table(header=("job", "subject", "wall s"), rows=rows)],
    )


def _side_by_side(results: Results) -> list[Section]:
    if not results.of(_PAGES, OURS):
        return []
    faster = results.ratio(_PAGES, _ALONE, OURS, "wall")
    rows = [
        [
            subject,
            *(_spread(results, _PAGES, subject, measure) for measure in ("wall", "cpu", "peak_mb")),
            _figure(results.fact(_PAGES, subject, "API calls")),
        ]
        for subject in (OURS, _ALONE, _BULK)
    ]
    return [
        Section(
            heading="Pages side by side",
            text=f"{_LARGE:,} users from an org that thinks for a second before it sends a page of 50,000.",
            verdicts=[Verdict.at_least("wall time page after page to that of several at once", 1.3, faster, "×")],
            tables=[Table(header=("subject", "wall s", "CPU s", "peak MB", "API calls"), rows=rows)],
        )
    ]


def _plots(results: Results, sizes: Sequence[int], folder: Path) -> list[Path]:
    path = folder / "extraction.svg"
    plotted: dict[Measure, str] = {"peak_mb": "peak RSS (MB)", "cpu": "CPU (s)"}
    with drawn(path, columns=2) as (_, axes):
        for axis, (measure, label) in zip(axes, plotted.items(), strict=True):
            for subject in (OURS, _BULK, _REST):
                points = [
                    (size, value)
                    for size in sizes
                    if (value := results.median(rows_key(size), subject, measure)) is not None
                ]
                if points:
                    axis.plot(*zip(*points, strict=True), marker="o", label=subject)
            axis.set(xscale="log", yscale="log", xlabel="users", ylabel=label)
            axis.grid(visible=True, which="both", alpha=0.3)
            axis.legend(frameon=False)
        axes[0].axhline(250, color="grey", linestyle=":")
    return [path]


def _sizes(*, quick: bool) -> tuple[int, ...]:
    return (_SMALL,) if quick else (_SMALL, _LARGE)


def _all(rows: int, stored: int) -> Mapping[str, Subject]:
    return {
        OURS: _subject("ours", rows, stored),
        _BULK: _subject("bulk_records", rows, stored),
        _REST: _subject("make_query", rows, stored),
    }


def _subject(name: str, rows: int, stored: int, **more: object) -> Subject:
    return Subject(f"{_MODULE}:{name}", {"rows": rows, "stored": stored, **more})


def rows_key(rows: int) -> str:
    """Of the case that reads so many.

    :param rows: how many.
    """
    return f"{rows:,} users"


def _job(seconds: float) -> str:
    return f"a job of {seconds:g} s"


def _digests(results: Results, case: str) -> set[tuple[object, object]]:
    return {
        (one.facts.get("rows"), one.facts.get("digest"))
        for subject in results.samples.get(case, {})
        for one in results.of(case, subject)
    }


def _spread(results: Results, case: str, subject: str, measure: str) -> str:
    kept = "cpu" if measure == "cpu" else "wall" if measure == "wall" else "peak_mb"
    middle, ends = results.median(case, subject, kept), results.spread(case, subject, kept)  # type: ignore[arg-type]
    if middle is None or ends is None:
        return results.outcome(case, subject)
    digits = 0 if kept == "peak_mb" else 2
    return f"{middle:,.{digits}f} ({ends[0]:,.{digits}f}-{ends[1]:,.{digits}f})"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
