"""How an object is operated, as its file says: how late it may be, who is told, how its tables are kept small."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from include.config.durations import Span

#: Ways to reach people. Each is a notifier of an Airflow provider, addressed by the environment.
Channel = Literal["sns", "slack", "email"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)

_MODEL = r"^[a-z][a-z0-9_]*$"
_ADDRESS = r"^[^@\s,<>]+@[^@\s,<>]+$"
_ARN = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}$"
_CONNECTION = r"^[A-Za-z0-9_.-]{1,200}$"
IN_WORDS = {
    _MODEL: "the name of a dbt model: lower-case letters, digits and underscores",
    _ADDRESS: "an e-mail address, such as oncall@example.com",
    _ARN: "the ARN of an SNS topic, such as arn:aws:sns:us-east-1:123456789012:sf-user-pipeline-alerts",
    _CONNECTION: "the id of an Airflow connection: letters, digits, dots, dashes and underscores",
}
ModelName = Annotated[str, StringConstraints(pattern=_MODEL, max_length=80)]
Address = Annotated[str, StringConstraints(pattern=_ADDRESS, max_length=254)]
TopicArn = Annotated[str, StringConstraints(pattern=_ARN)]
ConnectionId = Annotated[str, StringConstraints(pattern=_CONNECTION)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slas(_Frozen):
    """How long after a run was queued its parts are to be done. Whoever is late is told of, once, and once more.

    :param run: the whole run.
    :param extract: check_source, extract and validate.
    :param upsert: upsert_raw.
    :param each_model: every dbt model and snapshot of the object, its tests included.
    :param models: those that differ, by the name of the dbt model.
    :param escalate_after: how long after a missed SLA it is told again, if the tasks are still unfinished.
    """

    run: Span | None = timedelta(minutes=30)
    extract: Span | None = None
    upsert: Span | None = None
    each_model: Span | None = None
    models: dict[ModelName, Span] = Field(default_factory=dict, max_length=100)
    escalate_after: Span = timedelta(minutes=30)


class AlertRouting(_Frozen):
    """Who is told of what concerns the object. What is missing is as the environment says.

    :param channels: ways to reach people; default: all those that the environment has an address for.
    :param sla_channels: the same for missed SLAs.
    :param sns_topic_arn: topic of this object.
    :param slack_conn_id: Airflow connection of a Slack incoming webhook.
    :param email_to: addresses.
    """

    channels: tuple[Channel, ...] | None = None
    sla_channels: tuple[Channel, ...] = ("sns",)
    sns_topic_arn: TopicArn | None = None
    slack_conn_id: ConnectionId | None = None
    email_to: tuple[Address, ...] = Field(default=(), max_length=50)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for key in ("channels", "sla_channels", "email_to"):
            values = getattr(self, key) or ()
            if len(set(values)) < len(values):
                raise ValueError(f"{key} lists something twice: {', '.join(values)}")
        return self


#: Engines that auto takes by itself. AWS documents that Athena reads timestamps with time zone, not that it writes
#: them by INSERT and MERGE; until that was seen on AWS, the first trial is not to be a large lake in production.
_PROVEN = ("trino",)


class Upsert(_Frozen):
    """Who brings a run into the raw tables: the worker, or the SQL engine of the environment.

    :param engine: worker, engine, or auto: the engine from a size on where that is proven, which Athena is not. Where
        there is no engine (a laptop), the worker.
    :param engine_from_rows: rows of the mirror from which auto takes the engine.
    :param file_mb: size at which the worker splits a data file of the mirror, in megabytes of Arrow, several times its
        size in Parquet: what it reads and writes for one changed row.
    """

    engine: Literal["auto", "worker", "engine"] = "auto"
    engine_from_rows: int = Field(default=5_000_000, ge=0, le=1_000_000_000_000, strict=True)
    file_mb: int = Field(default=16, ge=1, le=1_024, strict=True)

    @property
    def file_bytes(self) -> int:
        """`file_mb` in bytes."""
        return self.file_mb * 1024 * 1024

    def on_engine(self, rows: int, engine: str) -> bool:
        """Whether the engine is to do it, where there is one.

        :param rows: of the mirror.
        :param engine: `athena` or `trino`.
        """
        if self.engine == "auto":
            return engine in _PROVEN and rows >= self.engine_from_rows
        return self.engine == "engine"


class TableUpkeep(_Frozen):
    """How one table is kept small and fast.

    :param keep_history: snapshots younger than this stay, so that time travel inside it works and readers go on.
    :param keep_snapshots: and so many of the last ones, however old.
    :param compact_from_files: number of small files from which they are rewritten into large ones.
    """

    keep_history: Span = timedelta(days=7)
    keep_snapshots: int = Field(default=10, ge=1, le=100_000, strict=True)
    compact_from_files: int = Field(default=5, ge=2, le=100_000, strict=True)


class Upkeep(_Frozen):
    """The weekly upkeep of the object's tables. Where the file says nothing, the defaults of `TableUpkeep` hold.

    :param mirror: one row a record.
    :param changes: the changes log.
    :param quarantine: rejected records.
    :param ledger: consumed batches.
    :param dimension: the versions.
    :param snapshot: dbt's snapshot of the mirror.
    :param orphans_after: files that no snapshot refers to go when they are older.
    :param keep_staged: staged files of a run go when they are older.
    """

    mirror: TableUpkeep = TableUpkeep()
    changes: TableUpkeep = TableUpkeep()
    quarantine: TableUpkeep = TableUpkeep()
    ledger: TableUpkeep = TableUpkeep()
    dimension: TableUpkeep = TableUpkeep()
    snapshot: TableUpkeep = TableUpkeep()
    orphans_after: Span = timedelta(days=3)
    keep_staged: Span = timedelta(days=7)
