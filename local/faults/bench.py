"""The bench: one org, a fresh lake a case, and the pipeline's own steps over them, as the DAG's tasks call them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simple_salesforce import Salesforce

from include.config.environment import current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.lake.names import RawTables
from include.lake.upsert import upsert
from include.lake.watermark import LakeState, read_lake_state, refuse_foreign_org
from include.quality.quarantine import write_quarantine
from include.quality.validation import validate
from include.salesforce.bulk import Polling
from include.salesforce.client import SalesforceClient
from include.salesforce.extraction import extract
from include.salesforce.http import http_session
from include.salesforce.read_plan import make_read_plan
from include.salesforce.window import RunRequest, plan_window
from include.staging.manifest import Api
from include.staging.store import run_folder
from local.faults.world import EVENING, NOON, SIX
from local.lake.catalog import lake_folder
from local.org.handle import OrgHandle

#: Window ends of the runs of a case: the first load, a window, a full refresh.
RUNS: dict[int, datetime] = {1: SIX, 2: NOON, 3: EVENING}
#: Share of the org's API requests that the bench leaves to itself, as the environments do by default.
RESERVE = 80.0

_LONGEST_SLEEP = 0.02
_OWN = ("_extracted_at", "_extraction_run_id")


@dataclass(kw_only=True)
class Told:
    """What a run told its user."""

    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Lake:
    """What a lake holds, without what differs from run to run.

    :param rows: mirror and log rows, each with how often it is there.
    :param mirror: id → (division, phase, whether it is gone).
    :param state: the mirror's watermark and last complete refresh.
    """

    rows: Counter[tuple[Any, ...]]
    mirror: dict[str, tuple[Any, ...]]
    state: tuple[datetime | None, datetime | None]


class Bench:
    """One lake of User, and runs into it.

    :param org: the org.
    :param folder: the lake's; made if it is not there.
    :param api: by which the rows are read.
    """

    def __init__(self, org: OrgHandle, folder: Path, *, api: Api) -> None:
        self._org, self._api = org, api
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = current_environment({"SF_HISTORY_LAKE": str(folder)})
        self._catalog = lake_folder(folder).open_catalog()
        self._file: ObjectFile = read_object_files()["user"].model_copy(update={"batch_size": 200})
        self._tables = RawTables.of(self._file, self._environment)

    def run(self, number: int, *, connection: Mapping[str, Any], read_timeout: float = 60.0) -> None:
        """One run of the DAG as far as the lake: check_source, extract, validate, upsert_raw.

        :param number: which of `RUNS`.
        :param connection: an Airflow connection to the org.
        :param read_timeout: seconds without a byte after which an answer is given up.
        """
        client = SalesforceClient(
            lambda: _log_in(connection, read_timeout), sleep=_briefly, max_api_usage_percentage=RESERVE
        )
        state = read_lake_state(self._catalog, self._tables)
        client.clock()
        client.check_reserve("checking the source")
        refuse_foreign_org(state, org_id=client.org_id, table=self._file.table)
        window = plan_window(
            _request(number),
            watermark=state.watermark,
            last_full_refresh=state.last_full_refresh,
            lake_is_empty=state.is_empty,
            lookback=self._file.lookback,
            full_refresh_every=self._file.full_refresh_every,
            now=client.now,
        )
        run_id = f"run_{number}"
        threshold = 0 if self._api == "bulk" else 10**9
        plan = make_read_plan(
            client=client, object_file=self._file, run_id=run_id, window=window, bulk_from_rows=threshold
        )
        extraction = extract(
            client=client,
            plan=plan,
            object_file=self._file,
            staging_folder=self._folder(run_id, "extract"),
            polling=Polling(first=0.01, longest=0.05, total=8.0),
        )
        result = validate(
            extraction=extraction, object_file=self._file, staging_folder=self._folder(run_id, "validate")
        )
        write_quarantine(
            catalog=self._catalog,
            table_name=self._tables.quarantine,
            reject_files=result.reject_files,
            run_id=run_id,
            quarantined_at=datetime.now(UTC),
        )
        upsert(self._catalog, self._file, self._environment, result.gate())

    def lake(self) -> Lake:
        """What the lake holds now."""
        rows: Counter[tuple[Any, ...]] = Counter()
        mirror: dict[str, tuple[Any, ...]] = {}
        for table in (self._tables.mirror, self._tables.changes):
            for row in self._catalog.load_table(table).scan().to_arrow().to_pylist():
                kept = tuple(sorted((name, value) for name, value in row.items() if name not in _OWN))
                rows[table, kept] += 1
                if table == self._tables.mirror:
                    mirror[row["id"]] = (row["division"], row["audit_phase__c"], row["isdeleted"])
        state = LakeState.of(self._catalog.load_table(self._tables.mirror))
        return Lake(rows=rows, mirror=mirror, state=(state.watermark, state.last_full_refresh))

    def _folder(self, run_id: str, step: str) -> str:
        return run_folder(staging_uri=self._environment.staging_uri, table=self._file.table, run_id=run_id, step=step)


@contextmanager
def overheard() -> Iterator[Told]:
    """What the package warns of, as it would stand in the task's log."""
    told = Told()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.lines.append(record.getMessage())

    ear, logger = Ear(logging.WARNING), logging.getLogger("include")
    propagated = logger.propagate
    logger.addHandler(ear)
    logger.propagate = False
    try:
        yield told
    finally:
        logger.removeHandler(ear)
        logger.propagate = propagated


def _request(number: int) -> RunRequest:
    end = RUNS[number]
    if number == max(RUNS):
        return RunRequest(kind="manual", run_after=end, logical_date=end, full_refresh=True)
    return RunRequest(kind="scheduled", run_after=end, logical_date=end, interval=(end - timedelta(hours=6), end))


def _log_in(connection: Mapping[str, Any], read_timeout: float) -> Salesforce:
    extra = connection["extra"]
    return Salesforce(
        session=http_session(read_timeout=read_timeout),
        username=connection.get("login"),
        password=connection.get("password"),
        security_token=extra.get("security_token"),
        domain=extra["domain"],
        consumer_key=extra.get("consumer_key"),
        consumer_secret=extra.get("consumer_secret"),
        privatekey_file=extra.get("private_key_file_path"),
        version=extra["version"],
    )


def _briefly(seconds: float) -> None:
    time.sleep(min(seconds, _LONGEST_SLEEP))
