"""The order of the test files; and what the crash suite found, in one line, whichever workers its tests ran on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

#: The files that take longest. They come first, so that no worker begins one of them when the others have nothing left.
LONGEST = (
    "e2e/test_replay.py",
    "packaging/test_mwaa_runs.py",
    "faults/test_faults.py",
    "crash/test_dbt_killed.py",
    "e2e/test_scheduler.py",
    "e2e/test_sla.py",
    "cloud/test_writers_on_glue.py",
    "plugins/alerts/test_deadlines.py",
    "dbt/test_history_flow.py",
    "hostile/test_data.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; the others stay in their order."""
    folder = Path(__file__).parent
    places = {folder / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many deaths the pipeline has survived, and what was compared afterwards."""
    kills: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    seeds: set[int] = set()
    failed = 0
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, toll in getattr(report, "user_properties", []):
                if name == "crash_toll" and report.when == "teardown":
                    kills.update(toll["kills"])
                    sums.update({key: toll[key] for key in ("reruns", "rows", "orphans")})
                    seeds.add(toll["seed"])
    failed = sum("tests/crash/" in report.nodeid for report in terminalreporter.stats.get("failed", []))
    if kills:
        places = ", ".join(f"{place} {number}" for place, number in sorted(kills.items()))
        terminalreporter.section("crashes")
        terminalreporter.write_line(
            f"kills survived: {kills.total()} ({places}); runs made good: {sums['reruns']}; rows compared: "
            f"{sums['rows']:,}; failed tests: {failed}; orphaned data files: {sums['orphans']}; "
            f"CRASH_SEED={','.join(map(str, sorted(seeds)))}"
        )
