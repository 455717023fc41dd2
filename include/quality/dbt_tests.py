"""What dbt's own report of an invocation (run_results.json) says: which tests passed, warned or failed, and how long
models took. Several reports of one run are merged: a test that ran again counts as it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from include.alerts.wording import one_line, without_ids

RESULTS_FILE = Path("target") / "run_results.json"

#: One that could not run says nothing of the data.
Verdict = Literal["passed", "warned", "failed", "errored"]
#: Follows the name of such a test in the column `failed_tests` of `sf_ops.pipeline_runs`.
COULD_NOT_RUN = " (could not run)"
_VERDICTS: Mapping[str, Verdict] = {"pass": "passed", "warn": "warned", "fail": "failed", "error": "errored"}
_BAD = ("fail", "error", "runtime error")


class DbtResults(BaseModel):
    """The nodes of one dbt invocation, or of several that were merged.

    :param at: when dbt wrote it, UTC.
    :param tests: unique id of each test that ran → how it ended. A skipped one did not run.
    :param seconds: models and snapshots that ran → seconds.
    :param error: what went wrong, in one line: of several things in the first invocation, the first by name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: AwareDatetime
    tests: Mapping[str, Verdict]
    seconds: Mapping[str, float]
    error: str | None = None

    def named(self, verdict: Verdict) -> list[str]:
        """Names of the tests that ended so; a name that two tests share comes twice.

        :param verdict: how they ended.
        """
        return sorted(unique_id.split(".")[2] for unique_id, ended in self.tests.items() if ended == verdict)

    def as_xcom(self) -> dict[str, Any]:
        """As tasks tell it: names of tests under `failed`, `errored`, `warned`, how many `passed`, the rest."""
        bad: tuple[Verdict, ...] = ("failed", "errored", "warned")
        told: dict[str, Any] = {verdict: self.named(verdict) for verdict in bad}
        return {**told, "passed": len(self.named("passed")), **self.model_dump(mode="json")}


def read_results(project: Path) -> DbtResults | None:
    """The report in a project's folder; None where dbt did not come as far as to write one.

    :param project: the folder in which dbt ran.
    """
    path = project / RESULTS_FILE
    if not path.is_file():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    tests: dict[str, Verdict] = {}
    seconds: dict[str, float] = {}
    errors = []
    for result in report["results"]:
        unique_id, status = result["unique_id"], result["status"]
        kind, _, name = unique_id.split(".")[:3]
        if kind == "test" and status in _VERDICTS:
            tests[unique_id] = _VERDICTS[status]
        elif kind in ("model", "snapshot") and status != "skipped":
            seconds[name] = round(result["execution_time"], 3)
        if status in _BAD:
            errors.append(one_line(without_ids(f"{name}: {result['message']}")))
    written = report["metadata"]["generated_at"]
    return DbtResults(at=written, tests=tests, seconds=seconds, error=min(errors, default=None))


def merge_results(reports: Iterable[DbtResults]) -> DbtResults | None:
    """All reports of a run as one: a test counts as it ended last, a model's seconds add up.

    :param reports: in any order.
    :return: None where there is none.
    """
    ordered = sorted(reports, key=lambda report: report.at)
    if not ordered:
        return None
    tests: dict[str, Verdict] = {}
    seconds: dict[str, float] = {}
    for report in ordered:
        tests.update(report.tests)
        for name, took in report.seconds.items():
            seconds[name] = round(seconds.get(name, 0.0) + took, 3)
    error = next((report.error for report in ordered if report.error), None)
    return DbtResults(at=ordered[-1].at, tests=tests, seconds=seconds, error=error)
