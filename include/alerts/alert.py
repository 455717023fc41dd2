"""An alert: what a person on call is told, in words that let them act."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

#: What can be told. docs/runbook.md has a section for each.
Kind = Literal[
    "run_failed",  # a run ended without publishing
    "run_timed_out",  # Airflow ended it after 48 h
    "critical_test_failed",  # unique_user_id or scd_integrity: the versions are wrong
    "tests_failed",  # more than three dbt tests
    "failure_unresolved",  # the escalation of one of those above
    "run_recovered",  # the next run succeeded
    "sla_missed",
    "sla_still_missed",  # the escalation of a missed SLA
    "anomaly",  # a number of the run is out of its range
    "data_warning",  # a dbt test warned
    "schema_drift",  # the org's fields have changed
    "upkeep_failed",  # lakehouse_maintenance
    "watch_failed",  # sf_history_watch: nobody escalates
]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: Kinds that stay open until a run of the object succeeds, and escalate meanwhile.
FAILURES: tuple[Kind, ...] = ("run_failed", "run_timed_out", "critical_test_failed", "tests_failed", "upkeep_failed")

#: Section of docs/runbook.md, as GitHub spells the link to its heading.
RUNBOOK: Mapping[Kind, str] = {kind: f"alert-{kind.replace('_', '-')}" for kind in KINDS}

#: The longest subject that SNS takes.
_SUBJECT_LENGTH = 100


class Alert(BaseModel):
    """One thing to be told, once.

    :param kind: what sort of thing.
    :param key: what makes it the same thing again: told once for each key, whoever tries.
    :param environment: name of the environment.
    :param object: API name of the object; empty where it concerns no single one.
    :param dag_id: the DAG.
    :param run_id: the run; empty where it concerns none.
    :param interval: what the run covers: start (None: from the beginning) and end, UTC.
    :param headline: what happened, in a few words.
    :param tasks: what failed or is unfinished, with how late it is where that matters.
    :param error: what happened, in one line.
    :param stakes: what it means for the readers of the data: rows read, logged, published or not.
    :param remedy: what to do.
    :param asked_for: what the run was to do of its own, in words without Ids; no other run does that.
    :param links: what it is → where it is. `runbook` is among them.
    :param at: when it happened, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    key: str = Field(min_length=1)
    environment: str
    object: str = ""
    dag_id: str
    run_id: str = ""
    interval: tuple[datetime | None, datetime] | None = None
    tasks: tuple[str, ...] = ()
    headline: str = Field(min_length=1)
    error: str = ""
    stakes: str = ""
    remedy: str
    asked_for: str = ""
    links: Mapping[str, str]
    at: datetime

    @property
    def subject(self) -> str:
        """One line for a lock screen: `[production] User: extract failed`."""
        line = f"[{self.environment}] {self.object + ': ' if self.object else ''}{self.headline}"
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in line).split())
        # SNS takes ASCII subjects only.
        line = line.encode("ascii", "replace").decode("ascii")
        return line if len(line) <= _SUBJECT_LENGTH else f"{line[: _SUBJECT_LENGTH - 3]}..."

    @property
    def text(self) -> str:
        """The whole message: plain text that reads alike in a mail, in Slack and on a pager."""
        start, end = self.interval or (None, None)
        parts = {
            "What": self.error,
            "Tasks": "; ".join(self.tasks),
            "Interval": f"{f'{start:%Y-%m-%d %H:%M}' if start else 'beginning'} to {end:%Y-%m-%d %H:%M} UTC"
            if end
            else "",
            "At stake": self.stakes,
            "Asked for": f"{self.asked_for}. No later run does that: clear this run, or ask again."
            if self.asked_for
            else "",
            "Do": self.remedy,
            "Run": f"{self.dag_id} {self.run_id}".strip(),
            **{name.capitalize(): link for name, link in self.links.items()},
        }
        lines = [f"{self.headline}", "", *(f"{name}: {value}" for name, value in parts.items() if value)]
        return "\n".join(lines)
