"""What the crash suite found, in one line at the end of a session, whichever workers its tests ran on."""

from __future__ import annotations

from collections import Counter

import pytest


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
