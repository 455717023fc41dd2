"""Layouts and codecs of the dimension on Trino: what analysts' queries read, and what a MERGE costs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.history_data import History
from bench.history_lake import fill
from bench.history_runs import Facts
from bench.history_trino import Asked, QueryCost, trino_lake
from bench.measure import Clock

LAYOUTS: Final = {
    "is_current, bucket(8, user_id)": "'is_current', 'bucket(user_id, 8)'",
    "division": "'division'",
    "month(update_date)": "'month(update_date)'",
    "unpartitioned": "",
}
CODECS: Final = ("ZSTD", "SNAPPY", "GZIP")
_COLUMNS = "user_id, name, division, audit_phase__c"
_MOMENT = "timestamp '2025-01-20 18:00:00'"
#: As in docs/queries.md, with every column of the answer looked at and none sent.
QUERIES: Final = {
    "current": f"select {_COLUMNS} from {{table}} where is_current",
    "as of a moment": f"""
        select {_COLUMNS} from {{table}}
        where effective_from <= {_MOMENT} and (effective_to > {_MOMENT} or effective_to is null) and not is_deleted
    """,
    "one user": """
        select user_id, effective_from, effective_to, division, audit_phase__c, is_deleted, is_current
        from {table} where user_id = '{user}'
    """,
    "changes in a month": """
        with versions as (
            select
                user_id, name, effective_from, division, audit_phase__c, is_deleted,
                lag(division) over (partition by user_id order by effective_from) as division_before,
                lag(audit_phase__c) over (partition by user_id order by effective_from) as audit_phase_before,
                lag(is_deleted) over (partition by user_id order by effective_from) as deleted_before
            from {table}
        )
        select * from versions
        where effective_from >= timestamp '2025-02-01 00:00:00' and effective_from < timestamp '2025-03-01 00:00:00'
            and deleted_before is not null
    """,
}
_LOOKED_AT: Final = {
    "one user": "user_id effective_from effective_to division audit_phase__c is_deleted is_current",
    "changes in a month": "user_id name effective_from division_before division audit_phase_before audit_phase__c",
}


def layouts(clock: Clock, *, versions: int, changes: int, rounds: int) -> Facts:
    """Every layout with every codec: the queries, then the MERGE that dbt has run on the dimension itself.

    :param clock: counts everything; what Trino takes is among the facts.
    :param versions: in the dimension.
    :param changes: of the MERGE, all over the table.
    :param rounds: how often each query is asked; the one that took least CPU counts.
    :return: of each layout, codec and query `<layout>|<codec>|<query>|cpu`, `…|wall`, `…|scanned`; `…|bytes`,
        `…|files`.
    """
    history, facts = History(versions), dict[str, float | str]()
    with trino_lake() as (lake, asked):
        writer = fill(lake, history)
        schema = lake.environment.curated_namespace
        dimension = f"iceberg.{schema}.dim_sf_user_scd"
        tables = {}
        for place, (layout, partitions) in enumerate(LAYOUTS.items()):
            for codec in CODECS:
                table = tables[layout, codec] = f"iceberg.{schema}.layout_{place}_{codec.lower()}"
                asked.query(f"set session iceberg.compression_codec = '{codec}'")
                asked.query(
                    f"create table {table} with (format = 'PARQUET', partitioning = array[{partitions}]) "
                    f"as select * from {dimension}"
                )
        changed = history.changed(changes, recent=False)
        writer.log_changes(changed)
        lake.dbt("run", "--select", "+dim_sf_user_scd")
        (merge,) = (Path(lake.folder) / "target" / "run").rglob("dim_sf_user_scd.sql")
        statement = merge.read_text(encoding="utf-8")
        quoted = f'"iceberg"."{schema}"."dim_sf_user_scd"'
        if quoted not in statement:
            raise AssertionError(f"dbt's MERGE does not name {quoted}")
        with clock.running():
            for name, query in QUERIES.items():
                answers = set()
                for (layout, codec), table in tables.items():
                    sql = _looked_at(name, query.format(table=table, user=_user(history)))
                    answer, cost = _least(asked, sql, rounds)
                    answers.add(answer)
                    facts |= _told(f"{layout}|{codec}|{name}", cost)
                if len(answers) != 1:
                    raise AssertionError(f"{name}: layouts differ in their answers: {answers}")
            for (layout, codec), table in tables.items():
                size = asked.query(f"select sum(file_size_in_bytes), count(*) from {_metadata(table, 'files')}")[0][0]
                facts |= {f"{layout}|{codec}|bytes": float(size[0]), f"{layout}|{codec}|files": float(size[1])}
                asked.query(f"set session iceberg.compression_codec = '{codec}'")
                _, cost = asked.query(statement.replace(quoted, table))
                facts |= _told(f"{layout}|{codec}|merge", cost)
                files = asked.query(f"select count(*) from {_metadata(table, 'files')}")[0][0][0]
                facts[f"{layout}|{codec}|merge|files"] = float(files) - float(size[1])
        answers = {
            str(asked.query(_looked_at("current", QUERIES["current"].format(table=one)))[0]) for one in tables.values()
        }
        if len(answers) != 1:
            raise AssertionError(f"after the MERGE layouts differ: {answers}")
    return facts


def _looked_at(name: str, query: str) -> str:
    columns = _LOOKED_AT.get(name, "user_id name division audit_phase__c").split()
    return f"select count(*), {', '.join(f'max({column})' for column in columns)} from ({query})"


def _least(asked: Asked, sql: str, rounds: int) -> tuple[str, QueryCost]:
    answered = [asked.query(sql) for _ in range(rounds)]
    return str(answered[0][0]), min((cost for _, cost in answered), key=lambda cost: cost.cpu)


def _told(prefix: str, cost: QueryCost) -> Facts:
    return {f"{prefix}|{what}": value for what, value in vars(cost).items()}


def _metadata(table: str, which: str) -> str:
    catalog, schema, name = table.split(".")
    return f'{catalog}.{schema}."{name}${which}"'


def _user(history: History) -> str:
    return f"0055e{history.users // 2:010d}AAA"
