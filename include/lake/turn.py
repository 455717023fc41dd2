"""Whose turn it is to bring an object's history up to date: one run at a time, however many were triggered.

The turn is a property of the ledger, set and cleared by commits that fail if it has moved. A run that ended without
giving it back has lost it: whoever wants it next asks whether that run still goes on.

holder.py says as whom a run holds it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pyiceberg.catalog import Catalog

from include.lake.conflicts import again_on_conflict
from include.lake.names import RawTables
from include.lake.one_commit import commit_once

log = logging.getLogger(__name__)

TURN = "sf-history.turn"
_NOBODY = ""


@again_on_conflict
def take_turn(catalog: Catalog, tables: RawTables, *, run_id: str, goes_on: Callable[[str], bool]) -> str | None:
    """Take the turn, unless another run has it that still goes on. Taking it twice is fine.

    :param catalog: the Iceberg catalog.
    :param tables: the object's tables; the ledger is there.
    :param run_id: Airflow's run id, or `upkeep_holder` of it.
    :param goes_on: whether a holder has not ended yet.
    :return: None if the turn is the run's; else the holder.
    """
    ledger = catalog.load_table(tables.ledger)
    holder = ledger.properties.get(TURN) or _NOBODY
    if holder == run_id:
        return None
    if holder and goes_on(holder):
        return holder
    if holder:
        log.warning("%s: run %s ended without giving its turn back; run %s takes it", tables.ledger, holder, run_id)
    commit_once(ledger, properties={TURN: run_id}, unmoved=[TURN])
    return None


@again_on_conflict
def give_back_turn(catalog: Catalog, tables: RawTables, *, run_id: str | None) -> None:
    """Let the next run have its turn; does nothing where it is not this run's.

    :param catalog: the Iceberg catalog.
    :param tables: the object's tables.
    :param run_id: as whom it was taken; None: whoever has it, for a caller who knows that nobody goes on.
    """
    if not catalog.table_exists(tables.ledger):
        return
    ledger = catalog.load_table(tables.ledger)
    holder = ledger.properties.get(TURN) or _NOBODY
    if holder and run_id in (holder, None):
        commit_once(ledger, properties={TURN: _NOBODY}, unmoved=[TURN])


def who_has_the_turn(catalog: Catalog, tables: RawTables) -> str | None:
    """The run whose turn it is, if it has not given it back.

    :param catalog: the Iceberg catalog.
    :param tables: the object's tables.
    """
    if not catalog.table_exists(tables.ledger):
        return None
    return catalog.load_table(tables.ledger).properties.get(TURN) or None
