"""What a person may ask of a run, and how it is read."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.config.object_file import read_object_files
from salesforce_history.operators import CheckSourceOperator, run_request
from salesforce_history.params import ParamRefused, ids_to_erase, moment, pipeline_params, refuse_misspelt

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_every_param_explains_itself_on_the_form() -> None:
    for name, param in pipeline_params().items():
        assert param.schema["title"], name
        assert len(param.schema["description_md"]) > 60, name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("2026-01-05T12:00:00Z", NOON),
        ("2026-01-05T13:00:00+01:00", NOON),
        ("2026-01-05T12:00:00", NOON),
        ("2026-01-05 12:00:00", NOON),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(value: str | None, expected: datetime | None) -> None:
    assert moment({"since": value}, "since") == expected


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01T00:00:00Z", "' OR 1=1", 7, "0001-01-01T00:00:00+14:00"])
def test_what_is_no_moment_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ParamRefused, match="Param until is"):
        moment({"until": value}, "until")


@pytest.mark.parametrize(
    ("run_type", "kind"),
    [
        ("scheduled", "scheduled"),
        ("backfill", "backfill"),
        ("manual", "manual"),
        ("asset_triggered", "manual"),
        (SimpleNamespace(value="scheduled"), "scheduled"),
    ],
)
def test_every_kind_of_run_has_a_meaning(run_type: Any, kind: str) -> None:
    dag_run = SimpleNamespace(
        run_type=run_type, run_after=NOON, logical_date=None, data_interval_start=None, data_interval_end=None
    )
    request = run_request({"dag_run": dag_run, "params": {"full_refresh": True}})  # type: ignore[typeddict-item]
    assert (request.kind, request.interval, request.logical_date, request.full_refresh) == (kind, None, None, True)


@pytest.mark.parametrize("given", [None, [], ()])
def test_nobody_is_erased_unless_named(given: Any) -> None:
    assert ids_to_erase({"erase": given}) == ()
    assert ids_to_erase({}) == ()


def test_whom_to_erase_is_read_in_one_form() -> None:
    given = ["0055e0000000001", "0055e0000000001AAA", "0055e0000000002AAA"]
    assert ids_to_erase({"erase": given}) == ("0055e0000000001AAA", "0055e0000000002AAA")


@pytest.mark.parametrize("given", ["0055e0000000001AAA", {"0055e0000000001AAA": 1}, ["0055e0000000001AAB"], [7], [""]])
def test_whom_to_erase_must_be_certain(given: Any) -> None:
    with pytest.raises(ParamRefused, match="Param erase") as refused:
        ids_to_erase({"erase": given})
    assert "0055e" not in str(refused.value).replace("such as 0055e0000000001AAA", "")


def test_a_wrong_id_fails_before_the_org_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = CheckSourceOperator(task_id="check_source", object_file=read_object_files()["user"])
    monkeypatch.setattr(operator, "flow", lambda: SimpleNamespace(check_source=pytest.fail))
    instance = SimpleNamespace(xcom_push=lambda **_: None)
    with pytest.raises(AirflowFailException, match="Id number 1 is mistyped"):
        operator.execute(
            {"dag_run": SimpleNamespace(conf={}), "params": {"erase": ["0055e0000000001AAB"]}, "ti": instance}
        )  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "name", ["fullrefresh", "Full_Refresh", "full-refresh", "untill", "sinc", "replay_quarantaine", "erases"]
)
def test_a_misspelt_param_is_not_ignored(name: str) -> None:
    with pytest.raises(ParamRefused, match="did you mean"):
        refuse_misspelt({name: True})


@pytest.mark.parametrize(
    "name", ["since", "until", "full_refresh", "erase", "replay_quarantine", "openlineage", "note", ""]
)
def test_a_param_of_ours_or_of_somebody_else_passes(name: str) -> None:
    refuse_misspelt({name: True})
