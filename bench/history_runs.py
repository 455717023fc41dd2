"""A batch of changes through dbt, on DuckDB and on Trino, and through dbt's snapshot."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import In
from pyiceberg.table import Table

from bench.history_data import NEXT, History, Writer
from bench.history_lake import Costs, build, fill, prepared
from bench.history_trino import QueryCost, trino_lake, written
from bench.measure import Clock

#: Trino's one process serves all of these; the first warms it up.
TRINO_BATCHES = ("warm-up", "scattered", "recent")

Facts = dict[str, float | str]


def on_duckdb(clock: Clock, *, versions: int, changes: int, recent: bool) -> Facts:
    """One batch through the models of the history and their tests, on the laptop's engine.

    :param clock: counts the whole of `dbt build`.
    :param versions: in the dimension before.
    :param changes: in the batch, each of another user.
    :param recent: among the newest 5 % of users; else all over the table.
    :return: of each node `cpu <node>`, `wall <node>`, `read <node>`, and what the dimension's commit wrote.
    """
    history = History(versions)
    lake = prepared(history)
    writer = Writer(lake.catalog, lake.environment)
    changed = history.changed(changes, recent=recent)
    writer.log_changes(changed)
    costs = Costs()
    with lake.entered():
        lake.dbt("parse")
        with clock.running():
            build(lake, costs=costs)
    table = lake.catalog.load_table(writer.tables.dimension)
    _require_right(writer, table, changed)
    return {**_facts(costs), **written(table)}


def by_snapshot(clock: Clock, *, versions: int, changes: int, recent: bool) -> Facts:
    """The same batch through dbt's own snapshot of the mirror, which has a row for each version as well.

    :param clock: counts `dbt snapshot`.
    :param versions: in the snapshot before.
    :param changes: in the batch.
    :param recent: see `on_duckdb`.
    :return: likewise.
    """
    history = History(versions)
    lake = prepared(history)
    writer = Writer(lake.catalog, lake.environment)
    changed = history.changed(changes, recent=recent)
    writer.write_mirror(history, changed)
    costs = Costs()
    with lake.entered():
        lake.dbt("run", "--select", "stg_sf_user")
        with clock.running():
            lake.dbt("snapshot", "--select", "sf_user_snapshot", costs=costs)
    table = lake.catalog.load_table(writer.tables.snapshot)
    current = writer.versions_of(changed)
    columns = ["user_id", "division", "audit_phase__c"]
    current = current.filter(current["is_current"]).select(columns)
    found = table.scan(row_filter="dbt_valid_to is null", selected_fields=tuple(columns)).to_arrow()
    _require_equal(_of_users(found, current).select(columns), current)
    return {**_facts(costs), **written(table)}


def on_trino(clock: Clock, *, versions: int, changes: int) -> Facts:
    """Batches through the models of the history and their tests, on Trino.

    :param clock: counts dbt's part; what Trino takes is among the facts.
    :param versions: in the dimension before.
    :param changes: in each batch.
    :return: of each kind of batch and node `<kind> cpu <node>`, `<kind> scanned <node>` (bytes), `<kind> wall <node>`.
    """
    history = History(versions)
    facts: Facts = {}
    with trino_lake() as (lake, asked):
        writer, seen = fill(lake, history), set[int]()
        for batch, kind in enumerate(TRINO_BATCHES, start=NEXT):
            every = history.changed(3 * changes, recent=kind == "recent")
            changed = [number for number in every if number not in seen][:: 2 if kind == "recent" else 3][:changes]
            seen.update(changed)
            writer.log_changes(changed, batch=batch)
            known = asked.queries()
            with clock.running():
                build(lake)
            costs = asked.of_nodes(known)
            costs["all"] = sum(costs.values(), QueryCost())
            table = lake.catalog.load_table(writer.tables.dimension)
            _require_right(writer, table, changed, batch=batch)
            for node, cost in costs.items():
                facts |= {f"{kind} {what} {node}": round(value, 4) for what, value in vars(cost).items()}
            facts |= {f"{kind} {what}": value for what, value in written(table).items()}
            facts[f"{kind} changes"] = len(changed)
    return facts


def _facts(costs: Costs) -> Facts:
    facts: Facts = {}
    for node, cost in costs.nodes.items():
        facts |= {f"{what} {node}": round(value, 4) for what, value in vars(cost).items()}
    return facts


def _require_right(writer: Writer, dimension: Table, changed: list[int], *, batch: int = NEXT) -> None:
    wanted = writer.versions_of(changed, batch=batch)
    users = In("user_id", set(wanted["user_id"].to_pylist()))  # type: ignore[call-arg, misc]
    order = [("user_id", "ascending"), ("effective_from", "ascending")]
    _require_equal(dimension.scan(row_filter=users).to_arrow().sort_by(order).select(wanted.schema.names), wanted)


def _of_users(rows: pa.Table, users: pa.Table) -> pa.Table:
    ids = users["user_id"].cast(pa.string()).combine_chunks()
    return rows.filter(pc.is_in(rows["user_id"].cast(pa.string()), value_set=ids)).sort_by("user_id")


def _require_equal(found: pa.Table, wanted: pa.Table) -> None:
    if not found.cast(wanted.schema).equals(wanted):
        raise AssertionError(f"{found.num_rows} rows are not the {wanted.num_rows} that are right, in {Path.cwd()}")
