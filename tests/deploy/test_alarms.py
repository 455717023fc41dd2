"""Alarms and dashboard look at numbers that the product really sends, by the dimensions that it sends them with."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.first_run import DAG
from include.config.environment import current_environment
from include.config.object_file import read_object_files
from include.lake.table_sizes import TableSize
from salesforce_history.metrics import RUN_METRICS, TABLE_METRICS, metric_data
from tests.deploy.rendered import ENVIRONMENTS, PROJECT, render

DOCS = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")
OBJECTS = sorted(one.object for one in read_object_files().values())


@dataclass(frozen=True)
class Watched:
    """A metric as an alarm or a widget names it."""

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str | None = None


def _sent(environment: str) -> dict[Watched, str]:
    """What `publish_metrics` hands to CloudWatch for a run that knows everything → its unit."""
    namespace = current_environment({"SF_HISTORY_ENV": environment}).metrics_namespace
    row = {column: 1 for column, _ in RUN_METRICS.values()}
    data = [datum for name in OBJECTS for datum in metric_data(row, [], environment=environment, object_name=name)]
    return {
        Watched(namespace, one["MetricName"], tuple((d["Name"], d["Value"]) for d in one["Dimensions"])): one["Unit"]
        for one in data
    }


def _alarms(environment: str, accounts: str = "on") -> dict[str, dict[str, Any]]:
    return render("foundation", environment, AccountAlarms=accounts).of_type("AWS::CloudWatch::Alarm")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_waits_for_a_pipeline_that_a_deployment_does_not_switch_on(environment: str) -> None:
    """Silence is an alarm: of a pipeline that is paused, it would ring for good."""
    alarms = render("foundation", environment).of_type("AWS::CloudWatch::Alarm").values()
    watched = {value for alarm in alarms for one in _watched(alarm) for key, value in one.dimensions if key == "object"}
    assert watched == {next(one.object for one in read_object_files().values() if one.dag_id == DAG)}


def _watched(alarm: dict[str, Any]) -> list[Watched]:
    if "Metrics" not in alarm:
        return [_one(alarm, alarm.get("Unit"))]
    return [
        _one(one["MetricStat"]["Metric"], one["MetricStat"].get("Unit"))
        for one in alarm["Metrics"]
        if "MetricStat" in one
    ]


def _one(named: dict[str, Any], unit: str | None) -> Watched:
    dimensions = tuple((one["Name"], one["Value"]) for one in named["Dimensions"])
    return Watched(named["Namespace"], named["MetricName"], dimensions, unit)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_alarm_watches_a_number_that_is_sent(environment: str) -> None:
    sent = _sent(environment)
    for name, alarm in _alarms(environment).items():
        for watched in _watched(alarm):
            plain = Watched(watched.namespace, watched.metric, watched.dimensions)
            assert plain in sent, f"{name} watches {plain}, which nobody sends"
            assert watched.unit == sent[plain], f"{name}: with another unit an alarm sees no number at all"


@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_has_an_alarm_for_each_metric_that_the_docs_give_one(name: str) -> None:
    documented = {
        metric
        for metric in RUN_METRICS
        if (row := re.search(rf"^\| `{metric}` .*\| ([^|]+) \|$", DOCS, re.M)) and row[1] != "–"
    }
    assert {"IngestionDuration", "RecordCount", "DataQualityScore", "ScdSuccessRate", "FreshnessSeconds"} <= documented
    expected = documented if name == "User" else documented - {"RecordCount"}  # its row says: (User)
    watched = {
        one.metric
        for alarm in _alarms("production").values()
        for one in _watched(alarm)
        if ("object", name) in one.dimensions
    }
    assert watched == expected, f"{name}: foundation.yaml and docs/metrics.md disagree"


def test_the_thresholds_are_those_that_were_asked_for() -> None:
    user = next(one for one in read_object_files().values() if one.object == "User")
    rows, alarms = user.expected_rows, _alarms("production")
    assert rows is not None
    asked = {
        "UserIngestionDurationAlarm": ("GreaterThanThreshold", 1800),
        "UserRecordCountLowAlarm": ("LessThanThreshold", rows.minimum),
        "UserRecordCountHighAlarm": ("GreaterThanThreshold", rows.maximum),
        "UserRecordCountDeviationAlarm": ("GreaterThanThreshold", rows.alert_deviation_percent),
        "UserDataQualityScoreAlarm": ("LessThanThreshold", 95),
        "UserScdSuccessRateAlarm": ("LessThanThreshold", 95),
        "UserDbtTestFailuresAlarm": ("GreaterThanOrEqualToThreshold", 1),
        "UserApiUsagePercentageAlarm": ("GreaterThanThreshold", current_environment({}).max_api_usage_percentage),
        "UserFreshnessAlarm": ("GreaterThanThreshold", 2 * 6 * 60 * 60),
    }
    assert user.schedule == "every_six_hours", "freshness is measured by two intervals of the schedule"
    assert {
        name: (alarms[name]["ComparisonOperator"], float(alarms[name]["Threshold"]))
        for name in alarms
        if "User" in name
    } == {name: (how, float(much)) for name, (how, much) in asked.items()}


@pytest.mark.parametrize(("records", "percent"), [(5000, 0), (4000, 20), (3999, 20.02), (6001, 20.02)])
def test_the_deviation_is_a_percentage_of_the_typical_count(records: float, percent: float) -> None:
    metrics = _alarms("production")["UserRecordCountDeviationAlarm"]["Metrics"]
    (formula,) = (one["Expression"] for one in metrics if "Expression" in one)
    assert [one["Id"] for one in metrics if one.get("ReturnData", True)] == ["deviation"]
    assert eval(formula, {"ABS": abs, "records": records}) == pytest.approx(percent)  # noqa: S307  our own template


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_state_lasts_from_run_to_run_and_silence_is_an_alarm(environment: str) -> None:
    for name, alarm in _alarms(environment).items():
        fresh = name.endswith("FreshnessAlarm")
        assert alarm["TreatMissingData"] == ("breaching" if fresh else "ignore"), name
        assert alarm["EvaluationPeriods"] == 1
        period = int(alarm["Period"] if "Metrics" not in alarm else alarm["Metrics"][1]["MetricStat"]["Period"])
        assert period % 60 == 0, f"{name}: CloudWatch refuses {period} s"
        if fresh:
            assert period == int(alarm["Threshold"]), "no run for as long as the data may be old"
        assert (
            alarm["AlarmActions"] == alarm["OKActions"] == [render("foundation", environment).outputs["AlertTopicArn"]]
        )


def test_names_of_alarms_are_different() -> None:
    names = [alarm["AlarmName"] for alarm in _alarms("development").values()]
    assert len(names) == len(set(names))
    assert all(name.startswith("sf-history-development-") for name in names)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_dashboard_shows_every_number_that_is_sent_and_no_other(environment: str) -> None:
    (dashboard,) = render("foundation", environment).of_type("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    rows = [row for widget in widgets for row in widget["properties"]["metrics"]]
    shown = {Watched(row[0], row[1], tuple(zip(row[2:-1:2], row[3:-1:2], strict=True))) for row in rows if len(row) > 1}
    assert shown == _sent(environment).keys()
    searches = [row[0]["expression"] for row in rows if len(row) == 1]
    found = [
        re.fullmatch(r"SEARCH\('\{([^}]+)\} MetricName=\"(\w+)\" environment=\"(\w+)\"', 'Maximum', 300\)", one)
        for one in searches
    ]
    assert all(found), "a search is not as CloudWatch takes it"
    assert {one[2] for one in found if one} == TABLE_METRICS.keys()
    assert {one[3] for one in found if one} == {environment}
    assert {one[1] for one in found if one} == {",".join(["SalesforceIcebergPipeline", *_dimensions_of_a_table()])}


def _dimensions_of_a_table() -> list[str]:
    numbers = dict.fromkeys(("snapshots", "manifests", "data_files", "delete_files", "bytes", "records"), 1)
    size = TableSize(table_name="sf_raw.sf_user", role="mirror", measured_at=datetime.now(UTC), **numbers)
    return [one["Name"] for one in metric_data({}, [size], environment="x", object_name="User")[0]["Dimensions"]]


def test_widgets_do_not_lie_on_each_other() -> None:
    (dashboard,) = render("foundation", "staging").of_type("AWS::CloudWatch::Dashboard").values()
    taken: set[tuple[int, int]] = set()
    for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24, "a dashboard is 24 wide"
        taken |= cells
