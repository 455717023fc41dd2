"""Why a task failed, in one line; which dbt tests did; and which alert that is worth."""

from __future__ import annotations

import pytest

from include.alerts.bounded import GaveUpWaiting, within
from include.alerts.problem import kind_of_failure, problem_of
from include.alerts.wording import one_line, without_ids
from include.salesforce.errors import CredentialsRefused

COSMOS = (
    "dbt invocation completed with errors: unique_user_id: Got 2 results, configured to fail if != 0\n"
    "scd_integrity: Got 1 result, configured to fail if != 0"
)
DBT_LOG = """12:00:01  1 of 2 FAIL 2 unique_user_id .......... [FAIL 2 in 0.05s]
12:00:02  Failure in test unique_user_id (models/_int.yml)
12:00:02    Got 2 results, configured to fail if != 0
12:00:02  2 of 2 PASS not_null_user_id .......... [PASS in 0.05s]"""
#: Those that could not run: there is nothing wrong with the rows that they would have looked at.
ERRORED = (
    "dbt invocation completed with errors: unique_user_id: Runtime Error in test unique_user_id (models/_int.yml)\n"
    "  Table does not exist\nscd_integrity: Got 1 result, configured to fail if != 0"
)
ERRORED_LOG = """12:00:01  1 of 2 ERROR unique_user_id .......... [ERROR in 0.05s]
12:00:02  Failure in test unique_user_id (models/_int.yml)
12:00:02    Runtime Error in test unique_user_id (models/_int.yml)
12:00:02  Failure in test scd_integrity (models/_int.yml)
12:00:02    Got 1 result, configured to fail if != 0"""


def test_the_remedy_is_told_apart_where_the_error_has_one() -> None:
    problem = problem_of(CredentialsRefused("logging in:\n  Salesforce said no."))
    assert (problem.error, problem.line) == ("CredentialsRefused", "logging in: Salesforce said no.")
    assert problem.remedy == CredentialsRefused.default_remedy


def test_what_airflow_needs_around_an_error_is_looked_through() -> None:
    class AirflowFailException(Exception):
        pass

    wrapped = AirflowFailException("3 of 30 records were rejected.")
    wrapped.__cause__ = CredentialsRefused("logging in: Salesforce said no.")
    assert problem_of(wrapped).error == "CredentialsRefused"


def test_secrets_and_length_stay_in_bounds() -> None:
    problem = problem_of(ValueError(f"token s3cr3t-value {'x' * 9_000}"), secrets=["s3cr3t-value", None])
    assert problem.line.startswith("token *** xxx")
    assert len(problem.line) == 500
    assert one_line("a\tb\r\nc\u202ed") == "a b c d"
    assert len(one_line("word " * 1_000)) == 500


def test_ids_are_taken_out() -> None:
    said = "4 rejected: for example 0055e0000000001AAA,\t0055e0000000002."
    assert without_ids(said) == "4 rejected: for example (Id left out),\t(Id left out)."


@pytest.mark.parametrize(
    ("said", "tests"),
    [
        (COSMOS, {"unique_user_id", "scd_integrity"}),
        (DBT_LOG, {"unique_user_id"}),
        (DBT_LOG.partition("\n")[2], {"unique_user_id"}),
        (ERRORED, {"scd_integrity"}),
        (ERRORED_LOG, {"scd_integrity"}),
        ("no", set()),
    ],
)
def test_dbt_tests_are_found_in_what_dbt_says(said: str, tests: set[str]) -> None:
    assert set(problem_of(RuntimeError(said)).tests) == tests


@pytest.mark.parametrize(
    ("reason", "tests", "kind"),
    [
        ("task_failure", [], "run_failed"),
        ("timed_out", ["unique_user_id"], "run_timed_out"),
        ("task_failure", ["unique_account_id"], "critical_test_failed"),
        ("task_failure", ["scd_integrity_dim_sf_user_scd"], "run_failed"),
        ("task_failure", ["unique_stg_sf_user_user_id", "unique_dim_sf_user_scd__scd_id"], "run_failed"),
        ("task_failure", ["unique_stg_id", "unique_user_id_seen", "my_unique_user_id"], "run_failed"),
        ("task_failure", ["unique_version_of_user"], "run_failed"),
        ("task_failure", ["a", "b", "c"], "run_failed"),
        ("task_failure", ["a", "b", "c", "d"], "tests_failed"),
        ("task_failure", ["a", "b", "c", "scd_integrity"], "critical_test_failed"),
    ],
)
def test_which_alert_a_failure_is_worth(reason: str, tests: list[str], kind: str) -> None:
    assert kind_of_failure(reason, tests) == kind


def test_work_is_left_behind_when_its_time_is_up() -> None:
    import threading

    never = threading.Event()
    with pytest.raises(GaveUpWaiting, match=r"no answer within 0\.05 s"):
        within(0.05, never.wait, called="hangs")
    never.set()
    assert within(5, lambda: 7, called="works") == 7
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0, called="raises")
