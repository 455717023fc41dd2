"""The bench: one org, a fresh lake a case, and the pipeline's own steps over them, as the DAG's tasks call them."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from simple_salesforce import Salesforce

from include.config.environment import current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.flow import Flow
from include.lake.watermark import LakeState
from include.salesforce.bulk import Polling
from include.salesforce.client import SalesforceClient
from include.salesforce.http import http_session
from include.salesforce.window import RunRequest
from include.staging.manifest import Api, ExtractionManifest, ReadPlan, UpsertManifest, ValidationManifest
from local.faults.world import EVENING, NOON, SIX
from local.lake.catalog import lake_folder
from local.org.handle import OrgHandle

#: Window ends of the runs of a case: the first load, a window, a full refresh.
RUNS: dict[int, datetime] = {1: SIX, 2: NOON, 3: EVENING}
#: Share of the org's API requests that the bench leaves to itself, as the environments do by default.
RESERVE = 80.0

_LONGEST_SLEEP = 0.02
_OWN = ("_extracted_at", "_extraction_run_id")
_Manifest = TypeVar("_Manifest", bound=BaseModel)


class Task(Protocol):
    """How a step is run: what Airflow does around an operator."""

    def __call__(self, name: str, returns: type[_Manifest], step: Callable[[], _Manifest]) -> _Manifest:
        """Run a step, or know already what it returned.

        :param name: of the DAG's task.
        :param returns: the step's manifest.
        :param step: does the work.
        """


@dataclass(kw_only=True)
class Told:
    """What a run told its user."""

    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Lake:
    """What a lake holds, without what differs from run to run.

    :param rows: mirror and log rows, each with how often it is there.
    :param mirror: id → (what is tracked …, whether it is gone).
    :param state: the mirror's watermark and last complete refresh.
    """

    rows: Counter[tuple[Any, ...]]
    mirror: dict[str, tuple[Any, ...]]
    state: tuple[datetime | None, datetime | None]


class Bench:
    """One lake of one object, and runs into it.

    :param org: the org.
    :param folder: the lake's; made if it is not there.
    :param api: by which the rows are read.
    :param object_file: of the object; default: User's, in small batches.
    """

    def __init__(self, org: OrgHandle, folder: Path, *, api: Api, object_file: ObjectFile | None = None) -> None:
        self._org, self._api = org, api
        folder.mkdir(parents=True, exist_ok=True)
        self.flow = Flow(
            object_file=object_file or read_object_files()["user"].model_copy(update={"batch_size": 200}),
            environment=current_environment({"SF_HISTORY_LAKE": str(folder)}),
            catalog=lake_folder(folder).open_catalog(),
        )

    def run(
        self,
        request: RunRequest,
        *,
        connection: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        read_timeout: float = 60.0,
        task: Task | None = None,
    ) -> UpsertManifest:
        """One run of the DAG as far as the lake: check_source, extract, validate, upsert_raw.

        :param request: what the run asks for; `numbered_run` has those of the little world.
        :param connection: an Airflow connection to the org; default: the org's own.
        :param run_id: default: one that the request's end makes.
        :param read_timeout: seconds without a byte after which an answer is given up.
        :param task: how each step is run; default: one after the other, and nothing besides.
        """
        task = task or _simply
        client = self.client(connection or self._org.connection(), read_timeout=read_timeout)
        run_id = run_id or f"run_{request.run_after:%Y%m%dT%H%M%S}"
        bulk_from_rows = 0 if self._api == "bulk" else 10**9
        polling = Polling(first=0.01, longest=0.05, total=8.0)
        plan = task(
            "check_source",
            ReadPlan,
            lambda: self.flow.check_source(client, request, run_id=run_id, bulk_from_rows=bulk_from_rows),
        )
        extraction = task("extract", ExtractionManifest, lambda: self.flow.extract(client, plan, polling=polling))
        validation = task("validate", ValidationManifest, lambda: self.flow.validate(extraction))
        return task("upsert_raw", UpsertManifest, lambda: self.flow.upsert(validation))

    def log(self, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Rows of the changes log: Id, change, window end, then the columns asked for.

        :param columns: names of columns.
        """
        wanted = ("id", "_change", "_window_end", *columns)
        rows = self.flow.catalog.load_table(self.flow.tables.changes).scan(selected_fields=wanted).to_arrow()
        return [tuple(row[name] for name in wanted) for row in rows.to_pylist()]

    @staticmethod
    def client(connection: Mapping[str, Any], *, read_timeout: float = 60.0) -> SalesforceClient:
        """A client of the org that wastes no time between its attempts.

        :param connection: an Airflow connection to the org.
        :param read_timeout: seconds without a byte after which an answer is given up.
        """
        return SalesforceClient(
            lambda: _log_in(connection, read_timeout), sleep=_briefly, max_api_usage_percentage=RESERVE
        )

    def lake(self) -> Lake:
        """What the lake holds now."""
        rows: Counter[tuple[Any, ...]] = Counter()
        mirror: dict[str, tuple[Any, ...]] = {}
        for table in (self.flow.tables.mirror, self.flow.tables.changes):
            for row in self.flow.catalog.load_table(table).scan().to_arrow().to_pylist():
                kept = tuple(sorted((name, value) for name, value in row.items() if name not in _OWN))
                rows[table, kept] += 1
                if table == self.flow.tables.mirror:
                    tracked = (row[name.lower()] for name in self.flow.object_file.tracked)
                    mirror[row["id"]] = (*tracked, row["isdeleted"])
        state = LakeState.of(self.flow.catalog.load_table(self.flow.tables.mirror))
        return Lake(rows=rows, mirror=mirror, state=(state.watermark, state.last_full_refresh))


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


def numbered_run(number: int) -> RunRequest:
    """A run of the little world.

    :param number: which of `RUNS`; the last one is a full refresh.
    """
    end = RUNS[number]
    if number == max(RUNS):
        return RunRequest(kind="manual", run_after=end, logical_date=end, full_refresh=True)
    return RunRequest(kind="scheduled", run_after=end, logical_date=end, interval=(end - timedelta(hours=6), end))


def _simply(name: str, returns: type[_Manifest], step: Callable[[], _Manifest]) -> _Manifest:  # noqa: ARG001
    return step()


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
