"""The doors to the quarantine: the question on the command line, and the Param of a run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from pyiceberg.catalog import Catalog

from include.config.object_file import read_object_files
from include.lake.layout import CURRENT, LAYOUT_VERSION
from include.quality.listing import Entry, Listing
from include.salesforce.window import RunRequest
from include.staging.manifest import ReplayManifest, ValidationManifest
from local.faults.bench import Bench
from local.org.handle import start_org
from salesforce_history.ask import quarantine
from salesforce_history.ask.questions import main as ask
from salesforce_history.operators import REPLAY, IcebergUpsertOperator
from tests.plugins.asset_events import Events

USER = read_object_files()["user"]
#: A rule that user.yml does not have: what it refuses can be replayed.
STRICT = USER.model_copy(update={"required": ("Id", "Name", "Division"), "max_error_percent": 100.0})
SIX = datetime(2026, 1, 5, 6, tzinfo=UTC)
QUARANTINE = "sf_raw.sf_user_quarantine"


def user(number: int, **fields: str) -> dict[str, Any]:
    key = f"005{number:012d}AAA"
    return {"at": "2026-01-05T01:00:00Z", "op": "insert", "object": "User", "Id": key, "fields": fields}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A lake behind the Airflow connection: of four users two were refused, one of them by a rule that is no more."""
    lines = [
        user(1, Name="a", Division="North"),
        user(2, Name="b"),
        user(3, Division="[bold]South[/bold]"),
        user(4, Name="d", Division="East"),
    ]
    scenario = tmp_path / "users.jsonl"
    scenario.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with start_org(tmp_path / "org") as org:
        org.load_events(scenario)
        org.set_clock(SIX)
        lake = tmp_path / "lake"
        iceberg = {"type": "sql", "uri": f"sqlite:///{lake}/catalog.db", "warehouse": f"file://{lake}/warehouse"}
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(org.ca_bundle))
        monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": iceberg}))
        monkeypatch.setenv("SF_HISTORY_LAKE", str(lake))
        bench = Bench(org, lake, api="rest", object_file=STRICT)
        bench.run(RunRequest(kind="manual", run_after=SIX))
        yield bench


def mirror(catalog: Catalog) -> list[str]:
    rows = catalog.load_table("sf_raw.sf_user").scan().to_arrow().to_pylist()
    return sorted(row["id"][14:15] for row in rows)


def test_the_table_says_why_since_when_and_what_may_be_done(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(["quarantine", "user"]) == 0
    said = capsys.readouterr()
    for part in (QUARANTINE, "can be replayed", "open", "Name is missing", "Division is missing"):
        assert part in said.out
    assert "records: can be replayed 1, open 1" in said.out
    assert "reasons of those not replayed: Division is missing 1, Name is missing 1" in said.out
    assert said.err == ""
    assert mirror(bench.flow.catalog) == ["1", "4"]


def test_csv_and_json_give_every_record_with_its_values(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(["quarantine", "USER", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert ask(["quarantine", "user", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == [row["id"] for row in listed] == [user(2)["Id"], user(3)["Id"]]
    assert [row["state"] for row in listed] == ["can be replayed", "open"]
    assert json.loads(rows[1]["record"])["division"] == "[bold]South[/bold]"
    assert (rows[0]["times_seen"], listed[0]["times_seen"]) == ("1", 1)


def test_a_replay_says_what_it_did_and_what_comes_next(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(["quarantine", "user", "--replay", "--format", "json"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith(f"{QUARANTINE}: 1 record(s) of 1 run(s) replayed, 1 observation(s) logged. The next run")
    assert "The next run of sf_user_pipeline publishes them" in said.err
    assert [row["state"] for row in json.loads(said.out)] == ["open", "replayed"]
    assert mirror(bench.flow.catalog) == ["1", "2", "4"]
    assert ask(["quarantine", "user", "--replay"]) == 0
    assert capsys.readouterr().err == f"{QUARANTINE}: nothing to replay.\n"


def test_a_quarantine_that_is_not_there_says_so(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(["quarantine", "account"]) == 0
    assert capsys.readouterr().out == "sf_raw.sf_account_quarantine: no record has been refused.\n"
    assert ask(["quarantine", "account", "--replay", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("noun", ["contact", "", "../user", "user; drop table"])
def test_an_object_without_a_file_is_refused(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(["quarantine", noun]) == 2
    assert capsys.readouterr().err == f"there is no object file {noun!r}; there are account, user\n"


def test_a_quarantine_of_a_later_layout_is_told_in_one_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    with bench.flow.catalog.load_table(QUARANTINE).transaction() as change:
        change.set_properties({LAYOUT_VERSION: str(CURRENT + 1)})
    assert ask(["quarantine", "user"]) == 2
    assert capsys.readouterr().err.startswith(f"{QUARANTINE} has layout version {CURRENT + 1}, but this release knows")


class Instance:
    """What a task instance keeps."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.kept[key] = value


def upsert(validation: ValidationManifest, **params: bool) -> Instance:
    """upsert_raw, as Airflow calls it."""
    operator = IcebergUpsertOperator(
        task_id="upsert_raw", object_file=USER, validation=validation.model_dump(mode="json")
    )
    instance = Instance()
    operator.execute(Events().context(params=params, ti=instance, run_id="later"))  # type: ignore[arg-type]
    return instance


@pytest.fixture
def validation(bench: Bench) -> ValidationManifest:
    """Of a next run, which sees nothing new."""
    client = bench.client(bench._org.connection())
    plan = bench.flow.check_source(client, RunRequest(kind="manual", run_after=SIX), run_id="later")
    return bench.flow.validate(bench.flow.extract(client, plan))


def test_a_run_replays_only_if_it_is_asked_to(bench: Bench, validation: ValidationManifest) -> None:
    assert REPLAY not in upsert(validation, replay_quarantine=False).kept
    assert mirror(bench.flow.catalog) == ["1", "4"]
    told = ReplayManifest.model_validate(upsert(validation, replay_quarantine=True).kept[REPLAY])
    assert (told.replayed, told.logged, told.refused) == (1, 1, 1)
    assert mirror(bench.flow.catalog) == ["1", "2", "4"]
    again = ReplayManifest.model_validate(upsert(validation, replay_quarantine=True).kept[REPLAY])
    assert (again.replayed, again.logged) == (0, 0)


def test_a_later_layout_fails_the_task_without_a_retry(bench: Bench, validation: ValidationManifest) -> None:
    with bench.flow.catalog.load_table("sf_raw.sf_user_changes").transaction() as change:
        change.set_properties({LAYOUT_VERSION: str(CURRENT + 1)})
    with pytest.raises(AirflowFailException, match=f"sf_user_changes has layout version {CURRENT + 1}"):
        upsert(validation)


def test_what_a_terminal_or_a_spreadsheet_would_obey_is_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    nasty = ("\x1b]0;pwned\x07", "=cmd|' /C calc'!A0", "+1", "-1", "@a", "\t=1", "\r=1", "a\u202eb", "Zoë")
    entries = tuple(
        Entry(
            identity=one, state="open", reasons=one, first_seen=SIX, last_seen=SIX, times_seen=1, note=one, record=one
        )
        for one in nasty
    )
    quarantine._write_table(Listing(table="t", entries=entries))
    shown = capsys.readouterr().out
    assert "\\x1b]0;pwned\\x07" in shown
    assert not {"\x1b", "\x07", "\t", "\r", "\u202e"} & set(shown)
    quarantine._write_csv(Listing(table="t", entries=entries))
    ids = [row["id"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert ids == [
        "\\x1b]0;pwned\\x07",
        "'=cmd|' /C calc'!A0",
        "'+1",
        "'-1",
        "'@a",
        "'\\t=1",
        "'\\r=1",
        "a\\u202eb",
        "Zoë",
    ]
