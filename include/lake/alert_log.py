"""`sf_ops.alerts`: one row an alert. It decides who tells, remembers who was told, and what is still open.

Whoever wants to tell something claims its key first. A claim is an Iceberg commit that fails if anyone has committed
since the table was looked at, so of many who try one wins. Rows gather in small files, as those of the runs do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from pydantic import ValidationError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, In, IsNull, LessThan
from pyiceberg.table import Table

from include.alerts.alert import FAILURES, Alert
from include.alerts.wording import without_ids
from include.lake.conflicts import again, is_conflict
from include.lake.data_files import KeyedFile, at_most, equal_to, read_file, write_files
from include.lake.existence import ensure_table
from include.lake.layout import NEW_TABLE, bring_up_to_date
from include.lake.one_commit import commit_once
from include.lake.operations_table import FILE_ROWS

log = logging.getLogger(__name__)

TABLE = "alerts"

#: How often an alert that reached nobody is sent again.
MOST_ATTEMPTS = 12

#: A key is looked up by its bounds, which Iceberg would cut off after 16 characters.
_PROPERTIES = {
    **NEW_TABLE,
    "write.metadata.metrics.column.key": "full",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
}

_MOMENT = pa.timestamp("us", tz="UTC")
_TEXTS = ("key", "kind", "environment", "object", "dag_id", "run_id", "subject", "text", "alert")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        ("opened_at", _MOMENT),
        ("told_at", _MOMENT),
        ("attempts", pa.int32()),
        ("channels", pa.string()),
        ("failed_channels", pa.string()),
        ("escalated_at", _MOMENT),
        ("resolved_at", _MOMENT),
        ("resolved_by", pa.string()),
    ]
)

#: What a list of alerts shows of each.
LINE_COLUMNS = ("kind", "object", "dag_id", "run_id", "subject", "opened_at", "resolved_at")

_retried = again(lambda problem: is_conflict(problem) or isinstance(problem, FileNotFoundError))


@dataclass(frozen=True, kw_only=True)
class AlertRecord:
    """A row: an alert, and what became of it.

    :param key: what makes it the same alert again.
    :param kind: of the alert.
    :param environment: name of the environment.
    :param object: API name of the object; empty where it concerns no single one.
    :param dag_id: the DAG.
    :param run_id: the run; empty where it concerns none.
    :param subject: the line that was told, without Ids.
    :param text: the message that was told, without Ids.
    :param alert: the alert as JSON, without Ids: what is sent again.
    :param opened_at: when it was claimed.
    :param told_at: when it had reached somebody, or the log where there is no channel; None: nobody knows of it yet.
    :param attempts: how often it was sent.
    :param channels: those that took it.
    :param failed_channels: those that did not, and why.
    :param escalated_at: when it was told again, because nobody had resolved it.
    :param resolved_at: when a run had made it good.
    :param resolved_by: that run.
    """

    key: str
    kind: str
    environment: str
    object: str
    dag_id: str
    run_id: str
    subject: str
    text: str
    alert: str
    opened_at: datetime
    told_at: datetime | None
    attempts: int
    channels: str | None
    failed_channels: str | None
    escalated_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None

    def restored(self) -> Alert:
        """The alert as it can be told again."""
        return Alert.model_validate_json(self.alert)


def readable(records: Iterable[AlertRecord]) -> list[AlertRecord]:
    """Those that this release understands: a later one, since taken back, may have written others.

    They are logged and left as they are, so that they hold up nothing that concerns the rest.

    :param records: of the table.
    """
    found = []
    for record in records:
        try:
            record.restored()
        except ValidationError as problem:
            log.error("the alert %s in sf_ops.alerts cannot be read and is left alone: %s", record.key, problem)
        else:
            found.append(record)
    return found


@_retried
def claim(catalog: Catalog, namespace: str, alert: Alert, *, at: datetime) -> bool:
    """Become the one who tells an alert.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables, `sf_ops`; made if it is not there.
    :param alert: what is to be told.
    :param at: now.
    :return: False where somebody has claimed the key before.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    table = ensure_table(catalog, f"{namespace}.{TABLE}", "alerts", SCHEMA, properties=_PROPERTIES)
    if _files_with(table, [alert.key]):
        return False
    row = {
        **{name: getattr(alert, name) for name in ("key", "kind", "environment", "object", "dag_id", "run_id")},
        **{name: without_ids(getattr(alert, name)) for name in ("subject", "text")},
        "alert": without_ids(alert.model_dump_json()),
        "opened_at": at,
        "attempts": 0,
    }
    files = (KeyedFile(task, None, None) for task in table.scan().plan_files())
    tail = sorted((file for file in files if file.rows < FILE_ROWS), key=lambda file: file.rows)[:1]
    new = pa.Table.from_pylist([row], SCHEMA)
    kept = [read_file(table, file).cast(SCHEMA) for file in tail]
    commit_once(
        table, added=write_files(table, pa.concat_tables([*kept, new])), removed=[file.task.file for file in tail]
    )
    return True


def record_attempt(
    catalog: Catalog,
    namespace: str,
    key: str,
    *,
    at: datetime,
    delivered: Collection[str],
    failed: Mapping[str, str],
) -> None:
    """Write down who was reached.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables.
    :param key: of a claimed alert.
    :param at: now.
    :param delivered: the channels that took it; none: it is sent again later.
    :param failed: channel → why not, in one line without secrets.
    """

    def told(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "attempts": row["attempts"] + 1,
            "told_at": at if delivered else None,
            "channels": ", ".join(delivered) or None,
            "failed_channels": "; ".join(f"{channel}: {reason}" for channel, reason in failed.items()) or None,
        }

    _change(catalog, namespace, [key], told)


def mark_escalated(catalog: Catalog, namespace: str, key: str, *, at: datetime) -> bool:
    """Write down that an alert was told again.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables.
    :param key: of the alert.
    :param at: now.
    :return: False where it was marked before.
    """
    changed = _change(
        catalog, namespace, [key], lambda row: {"escalated_at": at} if row["escalated_at"] is None else None
    )
    return bool(changed)


def resolve(catalog: Catalog, namespace: str, keys: Collection[str], *, at: datetime, by: str) -> list[str]:
    """Write down that alerts are no longer open. Those that are not are left alone.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables.
    :param keys: of the alerts.
    :param at: now.
    :param by: the run that made them good.
    :return: the keys of those that were open.
    """
    return _change(
        catalog,
        namespace,
        keys,
        lambda row: {"resolved_at": at, "resolved_by": by} if row["resolved_at"] is None else None,
    )


def open_failures(catalog: Catalog, namespace: str, *, dag_id: str | None = None) -> list[AlertRecord]:
    """Failures that no run has made good, oldest first.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables.
    :param dag_id: of this DAG only.
    """
    wanted = And(_one_of("kind", FAILURES), _null("resolved_at"))
    return _read(catalog, namespace, And(wanted, equal_to("dag_id", dag_id)) if dag_id else wanted)


def never_told(catalog: Catalog, namespace: str, *, before: datetime) -> list[AlertRecord]:
    """Alerts that were claimed a while ago and have reached nobody, oldest first.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables.
    :param before: claimed before then: whoever claimed it later may still be sending it.
    """
    few = LessThan("attempts", MOST_ATTEMPTS)  # type: ignore[call-arg, misc]
    wanted = And(And(_null("told_at"), few), at_most("opened_at", before))
    return _read(catalog, namespace, wanted)


def read_lines(catalog: Catalog, namespace: str, kinds: Collection[str]) -> pa.Table:
    """What was told in one line, without the messages, oldest first.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables.
    :param kinds: only alerts of these kinds.
    """
    return _rows(catalog, namespace, _one_of("kind", kinds), LINE_COLUMNS)


def read_alerts(catalog: Catalog, namespace: str) -> list[AlertRecord]:
    """Every alert, oldest first.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables.
    """
    return _read(catalog, namespace, None)


def _read(catalog: Catalog, namespace: str, wanted: BooleanExpression | None) -> list[AlertRecord]:
    return [AlertRecord(**row) for row in _rows(catalog, namespace, wanted, SCHEMA.names).to_pylist()]


@_retried
def _rows(catalog: Catalog, namespace: str, wanted: BooleanExpression | None, columns: Sequence[str]) -> pa.Table:
    try:
        table = catalog.load_table(f"{namespace}.{TABLE}")
    except (NoSuchTableError, NoSuchNamespaceError):
        return pa.schema([SCHEMA.field(name) for name in columns]).empty_table()
    scan = table.scan(row_filter=wanted or AlwaysTrue(), selected_fields=tuple(columns))
    return scan.to_arrow().select(list(columns)).sort_by("opened_at")


@_retried
def _change(
    catalog: Catalog,
    namespace: str,
    keys: Collection[str],
    change: Callable[[dict[str, Any]], dict[str, Any] | None],
) -> list[str]:
    """Write values into the rows of some keys, in one commit.

    :param change: the new values of a row as it is; None: leave it.
    :return: the keys of the rows that were changed.
    """
    table = bring_up_to_date(catalog.load_table(f"{namespace}.{TABLE}"), "alerts")
    changed: list[str] = []
    added, removed = [], []
    for file in _files_with(table, keys):
        rows = read_file(table, file).cast(SCHEMA).to_pylist()
        before = len(changed)
        for row in rows:
            if row["key"] in keys and (values := change(row)) is not None:
                row.update(values)
                changed.append(row["key"])
        if len(changed) > before:
            added.extend(write_files(table, pa.Table.from_pylist(rows, SCHEMA)))
            removed.append(file.task.file)
    if changed:
        commit_once(table, added=added, removed=removed)
    return changed


def _files_with(table: Table, keys: Collection[str]) -> list[KeyedFile]:
    """The files that hold a row of these keys."""
    if not keys:
        return []
    ours = _one_of("key", keys)
    near = (KeyedFile(task, None, None) for task in table.scan(row_filter=ours).plan_files())
    return [file for file in near if read_file(table, file, ["key"], ours).num_rows]


def _one_of(column: str, values: Collection[str]) -> BooleanExpression:
    return In(column, set(values))  # type: ignore[call-arg, misc]


def _null(column: str) -> BooleanExpression:
    return IsNull(column)  # type: ignore[misc]
