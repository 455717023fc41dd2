"""The org as a whole: what the HTTP handlers share."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from local.org import timestamps
from local.org.bulk_jobs import BulkJobs
from local.org.cursors import Cursors
from local.org.database import Database
from local.org.fault_plan import FaultPlan
from local.org.fold import Record
from local.org.home import Credentials, Home
from local.org.queries import Queries
from local.org.schema import Schema
from local.org.sessions import Sessions
from local.org.store import Store
from local.org.usage import Usage

log = logging.getLogger(__name__)


@dataclass
class Org:
    """An open org.

    ``address`` is host and port, known once the server listens; ``fault_plan`` is asked before every request but those
    of the control API.
    """

    home: Home
    credentials: Credentials
    schema: Schema
    store: Store
    usage: Usage
    sessions: Sessions
    queries: Queries
    cursors: Cursors
    jobs: BulkJobs
    address: str = "127.0.0.1"
    fault_plan: FaultPlan = field(init=False)

    def __post_init__(self) -> None:
        self.fault_plan = FaultPlan(store=self.store, sessions=self.sessions, usage=self.usage)

    @property
    def instance_url(self) -> str:
        """Where the org answers, port included."""
        return f"https://{self.address}"

    @property
    def login_url(self) -> str:
        """Where clients log in when their connection's domain is ``<address>/sim``."""
        return f"https://{self.address}/sim.salesforce.com"

    def change_schema(self, *, action: str, sobject: str, definition: dict[str, Any]) -> None:
        """Let the schema drift, and remember it across restarts.

        :param action: add, alter, remove, hide or show.
        :param sobject: the object's name.
        :param definition: the field, with the attributes that matter.
        :raises SchemaError: if the change cannot be made.
        """
        self.schema.change(action=action, sobject=sobject, field=definition)
        self.store.database.put("drift", self.schema.drift)
        log.info("schema: %s %s.%s", action, sobject, definition.get("name"))

    def stats(self) -> dict[str, Any]:
        """Return what the org holds and how much it was used."""
        now = self.store.clock
        return {
            "org_id": self.credentials.org_id,
            "clock": timestamps.iso(now),
            "objects": {name: counts for name, counts in self.store.counts().items() if name != "Organization"},
            "api": {
                "used": self.usage.used(at=now),
                "maximum": self.usage.maximum,
                "calls_by_resource": self.usage.by_resource(),
            },
            "bulk_jobs": self.jobs.states(),
            "open_sessions": self.sessions.count(),
            "open_cursors": self.cursors.count(),
        }

    def close(self) -> None:
        """Finish running jobs and keep what is still in memory."""
        self.jobs.close()
        self.usage.save()


def open_org(home: Home) -> Org:
    """Open the org that lives in a folder, or make one there.

    :param home: the folder.
    """
    credentials = home.prepare()
    database = Database(home.database)
    schema = Schema.standard()
    for change in database.get("drift", []):
        schema.change(**change)
    store = Store(database=database, schema=schema)
    created = timestamps.parse("2015-03-02T09:00:00Z")
    values = {
        "Name": "Simulated Org",
        "InstanceName": "SIM1",
        "IsSandbox": False,
        "OrganizationType": "Developer Edition",
    }
    store.put_record(
        "Organization",
        record_id=credentials.org_id,
        record=Record(created=created, modified=created, modstamp=created, values=values),
    )
    queries = Queries(store=store)
    return Org(
        home=home,
        credentials=credentials,
        schema=schema,
        store=store,
        usage=Usage(database),
        sessions=Sessions(database=database, org_id=credentials.org_id),
        queries=queries,
        cursors=Cursors(database=database),
        jobs=BulkJobs(database=database, queries=queries, folder=home.results, store=store),
    )
