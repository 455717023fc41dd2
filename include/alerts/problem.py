"""What stopped a task, small enough for an XCom: its class, one line, the remedy, the dbt tests that failed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from include.alerts.alert import Kind
from include.alerts.wording import one_line
from include.salesforce.errors import SalesforceProblem
from include.salesforce.redaction import hide

#: More failed dbt tests than this are an alert of their own.
MANY_TESTS = 3

#: What ends the record of a run that something else has stopped; it is never the cause.
CONSEQUENCE = "HistoryNotPublished"

#: The tests of every object that are named so in its models' YAML: not those of columns, which dbt names by the model.
_CRITICAL = re.compile(r"unique_(?!(?:stg|int|dim)_)[a-z0-9]+_id|scd_integrity")
#: How dbt names a test that failed, in Cosmos's exception (a call inside Python) and in dbt's own log (a process).
#: dbt logs "Failure in test" of a test that could not run as well; only a number of rows says that it found some.
_FAILED_TEST = re.compile(
    r"(?:^|errors: )(\w+): Got \d+ results?|FAIL \d+ (?!in )(\w+)"
    r"|Failure in test (\w+) [^\n]*\n[^\n]*\bGot \d+ results?",
    re.MULTILINE,
)
_TESTS_NAMED = 50


class Problem(BaseModel):
    """Why a task failed.

    :param error: name of the exception's class.
    :param line: what it says, in one line without secrets.
    :param remedy: what to do, where the error says it apart; else it is in the line, or in the runbook.
    :param tests: names of dbt tests that failed.
    """

    model_config = ConfigDict(frozen=True)

    error: str
    line: str
    remedy: str = ""
    tests: tuple[str, ...] = ()


def problem_of(exception: BaseException, *, secrets: Iterable[str | None] = ()) -> Problem:
    """What an exception tells. One that Airflow needs around another is looked through.

    :param exception: what ended the task.
    :param secrets: what must not be told.
    """
    cause = exception.__cause__
    if type(exception).__name__ == "AirflowFailException" and cause is not None:
        return problem_of(cause, secrets=secrets)
    secrets = list(secrets)
    said, remedy = str(exception), ""
    if isinstance(exception, SalesforceProblem):
        said, remedy = exception.what, exception.remedy
    tests = dict.fromkeys(next(filter(None, found.groups())) for found in _FAILED_TEST.finditer(said))
    return Problem(
        error=type(exception).__name__,
        line=one_line(hide(said, secrets)),
        remedy=one_line(hide(remedy, secrets)),
        tests=tuple(tests)[:_TESTS_NAMED],
    )


def kind_of_failure(reason: str, tests: Iterable[str]) -> Kind:
    """Which alert a failed run is worth.

    :param reason: Airflow's, of the end of the run.
    :param tests: names of the dbt tests that failed in it.
    """
    tests = set(tests)
    if reason == "timed_out":
        return "run_timed_out"
    if any(_CRITICAL.fullmatch(test) for test in tests):
        return "critical_test_failed"
    return "tests_failed" if len(tests) > MANY_TESTS else "run_failed"
