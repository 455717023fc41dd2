"""Upkeep by the engine that the environment has: pyiceberg on a laptop, statements on Athena and Trino."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.sdk.bases.hook import BaseHook
from pyiceberg.catalog import Catalog

from include.config.environment import Environment
from include.lake.short_lived import drop_leftovers
from include.upkeep.measure import measure
from include.upkeep.statements import asks_for_more, athena_statements, trino_statements
from include.upkeep.tables import KeptTable, load_if_there
from include.upkeep.upkeep import UpkeepReport, keep_up, tell
from salesforce_history.sql_engines import Athena

log = logging.getLogger(__name__)

#: How often Athena is asked to go on; it removes some thousand files, or a hundred partitions, a time.
_MOST_ROUNDS = 100


class UpkeepRefused(RuntimeError):
    """The engine would not do what it was asked for. The message has its reason."""


def keep_table(
    catalog: Catalog, kept: KeptTable, environment: Environment, *, now: datetime, dry_run: bool
) -> UpkeepReport | None:
    """Look after one table.

    :param catalog: the Iceberg catalog.
    :param kept: the table.
    :param environment: its `dbt_target` says which engine there is.
    :param now: the time.
    :param dry_run: look only.
    :return: None where the table is not there.
    :raises UpkeepRefused: with the engine's reason.
    """
    engine = environment.dbt_target
    # What would be done is worked out by pyiceberg everywhere; no engine tells it without doing it.
    if engine == "local" or dry_run:
        return keep_up(catalog, kept, environment, now=now, dry_run=dry_run)
    if (table := load_if_there(catalog, kept.identifier)) is None:
        return None
    before = measure(table)
    drop_leftovers(catalog, kept.identifier, now=now)
    if engine == "athena":
        hook = AthenaHook(aws_conn_id=environment.aws_conn_id)
        for statement in athena_statements(kept.identifier, kept.keep):
            ask_athena(hook, statement, kept.identifier, environment)
    else:
        trino: Any = BaseHook.get_hook(environment.trino_conn_id)
        for statement in trino_statements(kept.identifier, kept.keep, orphans_after=kept.orphans_after):
            trino.run(statement)
    report = UpkeepReport(
        table=kept.identifier,
        object=kept.object,
        place=kept.place,
        engine=engine,
        started_at=now,
        before=before,
        after=measure(catalog.load_table(kept.identifier)),
    )
    tell(report)
    return report


def ask_athena(hook: AthenaHook, statement: str, identifier: str, environment: Environment) -> int:
    """Run a statement until Athena has no more to do for it.

    :param hook: of the AWS connection.
    :param statement: from `athena_statements`.
    :param identifier: `namespace.table`.
    :param environment: names workgroup and results.
    :return: how often it was asked.
    :raises UpkeepRefused: with Athena's reason.
    """
    athena = Athena(environment, hook)
    reason: str | None = None
    for count in range(1, _MOST_ROUNDS + 1):
        _, reason = athena.run(statement, namespace=identifier.partition(".")[0])
        if reason is None:
            return count
        if not asks_for_more(reason):
            break
        log.info("%s: Athena has done part of it, and is asked again", identifier)
    raise UpkeepRefused(
        f"{identifier}: Athena did not finish `{statement}`: {reason}. Nothing is lost, and "
        "readers see what they saw. Clear the task; if it says the same again, look at the workgroup and at the role's "
        "rights on the table's folder."
    )
