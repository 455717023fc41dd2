"""A history of any length, written without running the pipeline: every row follows from the number of its user.

A user is observed five times: by the first load, and once in each quarter of forty daily batches. Every observation
opens a version, so the log has as many rows as the dimension. tests/dbt shows that the dimension which dbt makes of
such a log is the one written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog

from include.config.environment import Environment
from include.config.object_file import ObjectFile, read_object_files
from include.lake.names import RawTables
from include.lake.tables import arrow_schema, ensure_tables

#: Observations of a user, and batches after the first load.
OBSERVATIONS: Final = 5
BATCHES: Final = 40
#: Number of the batch that comes after them.
NEXT: Final = BATCHES + 1
#: When the prepared versions say that they were written.
WRITTEN: Final = datetime(2025, 3, 1)
#: Rows in a table at a time: what a worker can hold.
_ROWS_AT_A_TIME = 2_000_000

#: Users `i` and their observations `j`. Column by column what the run saw; `batch` says which.
_OBSERVATIONS = """
select
    '0055e' || lpad(i::varchar, 10, '0') || 'AAA' as id,
    'User ' || i as name,
    ['North', 'South', 'East', 'West', 'Central', null][1 + (i + j) % 6] as division,
    ['Phase1', 'Phase2', 'Phase3', 'Complete'][1 + (i // 6 + j // 2) % 4] as audit_phase__c,
    i % 10 <> 0 as isactive,
    timestamptz '2020-01-01 00:00:00+00' + to_hours(i % 40000) as createddate,
    {batch} as batch,
    timestamptz '2025-01-01 00:00:00+00' + to_days(batch::integer) as window_end,
    window_end - case when j = 0 then to_days((1 + i % 300)::integer) else to_seconds(3600 + (i * 31 + j * 17) % 70000)
        end as modified,
    sha256(id || '|' || j) as row_hash
from ({users}) as users, ({numbers}) as numbers
"""
_BATCH = "case when j = 0 then 0 when j = 5 then {newest} else 10 * (j - 1) + 1 + (i * 7919 + j * 104729) % 10 end"


@dataclass(frozen=True)
class History:
    """A history of a size.

    :param versions: of the dimension; a multiple of five.
    """

    versions: int

    @property
    def users(self) -> int:
        """How many there are."""
        return self.versions // OBSERVATIONS

    def changed(self, count: int, *, recent: bool) -> list[int]:
        """Numbers of the users that the next batch observes.

        :param count: how many.
        :param recent: among the newest 5 % of users; else all over the table.
        """
        first = self.users - max(count, self.users // 20) if recent else 0
        return [first + (self.users - first) * number // count for number in range(count)]


def observations(users: str, first: int, last: int, *, newest: int = NEXT) -> str:
    """SQL of observations.

    :param users: SQL that gives the users' numbers as `i`.
    :param first: first observation of each, from 0.
    :param last: last one; `OBSERVATIONS` is one more than a history has.
    :param newest: batch in which that one is.
    """
    numbers = f"select unnest(generate_series({first}, {last})) as j"
    return _OBSERVATIONS.format(batch=_BATCH.format(newest=newest), users=users, numbers=numbers)


def batches_of(observation: int) -> range:
    """In which batches an observation of all users is.

    :param observation: from 0.
    """
    each = BATCHES // (OBSERVATIONS - 1)
    return range(each * (observation - 1) + 1, each * observation + 1) if observation else range(1)


def everybody(first: int, last: int) -> str:
    """SQL of the numbers of users.

    :param first: from 0.
    :param last: exclusive.
    """
    return f"select i from range({first}, {last}) as numbered (i)"


def these(numbers: Sequence[int]) -> str:
    """SQL of given numbers of users.

    :param numbers: some.
    """
    return f"select unnest([{', '.join(map(str, numbers))}]::bigint[]) as i"


def log_rows(observed: str, columns: Sequence[str]) -> str:
    """SQL of rows of the changes log.

    :param observed: see `observations`.
    :param columns: the object's columns, which every row has observed.
    """
    return f"""
select
    id, name, division, audit_phase__c, modified as lastmodifieddate, modified as systemmodstamp, isactive,
    false as isdeleted, createddate, window_end + interval 5 minute as _extracted_at,
    'scheduled__' || strftime(window_end, '%Y-%m-%dT%H:%M:%S+00:00') as _extraction_run_id, row_hash as _row_hash,
    'upsert' as _change, window_end as _window_end, '{",".join(columns)}' as _observed_columns, batch
from ({observed})
order by batch, id
"""


def version_rows(observed: str) -> str:
    """SQL of rows of the dimension.

    :param observed: see `observations`; all those of its users.
    """
    return f"""
select
    ('0x' || substr(_scd_id, 1, 15))::bigint as user_key,
    id as user_id, name, division, audit_phase__c, isactive as is_active, effective_from as update_date,
    effective_from, effective_to, effective_to is null as is_current, false as is_deleted,
    timestamp '{WRITTEN}' as _dbt_updated_at, _scd_id
from (
    select
        *,
        make_timestamp(epoch_us(modified)) as effective_from,
        lead(effective_from) over (partition by id order by batch) as effective_to,
        md5(id || '|' || strftime(effective_from, '%Y-%m-%dT%H:%M:%S.%fZ')) as _scd_id
    from ({observed})
)
order by user_id, effective_from
"""


def _parts(history: History) -> Iterator[str]:
    """SQL of all observations, some users at a time."""
    step = _ROWS_AT_A_TIME // OBSERVATIONS
    for first in range(0, history.users, step):
        yield observations(everybody(first, min(first + step, history.users)), 0, OBSERVATIONS - 1)


class Writer:
    """Writes histories into the tables of a catalog.

    :param catalog: the tables'.
    :param environment: names them.
    """

    def __init__(self, catalog: Catalog, environment: Environment) -> None:
        self.catalog, self.environment = catalog, environment
        self.object_file: ObjectFile = read_object_files()["user"]
        self.tables = RawTables.of(self.object_file, environment)
        self._database = duckdb.connect()
        self._database.execute("set timezone = 'UTC'")

    def create(self) -> None:
        """Make the raw tables and the ledger."""
        for namespace in (self.environment.raw_namespace, self.environment.curated_namespace):
            self.catalog.create_namespace_if_not_exists(namespace)
        types = dict.fromkeys(self.object_file.columns, "string")
        types |= {name: "timestamptz" for name in types if name.endswith(("date", "modstamp"))}
        types |= {"isactive": "boolean", "isdeleted": "boolean"}
        ensure_tables(self.catalog, self.object_file, self.environment, dict(types))

    def write(self, history: History) -> None:
        """The log and the ledger of a history, as if forty-one runs had come and gone.

        :param history: how much.
        """
        for quarter in range(OBSERVATIONS):
            observed = observations(everybody(0, history.users), quarter, quarter)
            self._database.execute(f"create or replace temp table quarter as {self._log(observed)}")
            for batch in batches_of(quarter):
                self._append(self.tables.changes, f"select * from quarter where batch = {batch}")
        self._database.execute("drop table quarter")
        self._append(
            self.tables.ledger,
            f"""
            select
                'scheduled__' || strftime(window_end, '%Y-%m-%dT%H:%M:%S+00:00') as _extraction_run_id,
                window_end + interval 5 minute as _extracted_at, observations, 0::bigint as content
            from (
                select window_end, count(*) as observations
                from ({observations(everybody(0, history.users), 0, OBSERVATIONS - 1)}) group by window_end
            )
            """,
        )

    def write_versions(self, history: History, table: str) -> None:
        """The versions of a history: a file a partition for current rows, and some for past ones.

        :param history: how much.
        :param table: the dimension.
        """
        for observed in _parts(history):
            self._append(table, f"select * from ({version_rows(observed)}) where not is_current")
        self._append(table, version_rows(self._last(history)))

    def write_past(self, history: History, table: str) -> None:
        """Past rows of dbt's snapshot of the mirror, which has made the current ones itself.

        :param history: how much.
        :param table: the snapshot.
        """
        for observed in _parts(history):
            self._append(
                table,
                f"""
                select
                    id as user_id, name, division, audit_phase__c, isactive as is_active,
                    make_timestamp(epoch_us(createddate)) as created_date,
                    make_timestamp(epoch_us(modified)) as last_modified_date, last_modified_date as system_modstamp,
                    false as is_deleted, make_timestamp(epoch_us(window_end)) as _extracted_at,
                    'scheduled' as _extraction_run_id, row_hash as _row_hash, md5(row_hash) as dbt_scd_id,
                    _extracted_at as dbt_updated_at, _extracted_at as dbt_valid_from,
                    lead(dbt_valid_from) over (partition by id order by batch) as dbt_valid_to
                from ({observed})
                qualify dbt_valid_to is not null
                order by id, dbt_valid_from
                """,
            )

    def _last(self, history: History) -> str:
        return observations(everybody(0, history.users), OBSERVATIONS - 1, OBSERVATIONS - 1)

    def write_mirror(self, history: History, changed: Sequence[int]) -> None:
        """The mirror, anew.

        :param history: how much.
        :param changed: users that the batch after the history's has observed.
        """
        rows = self._log(
            f"""
            {self._last(history)}
            where i not in ({these(changed)})
            union all {observations(these(changed), OBSERVATIONS, OBSERVATIONS)}
            """
        )
        table = self.catalog.load_table(self.tables.mirror)
        schema = arrow_schema(table)
        table.overwrite(self._read(f"select {', '.join(schema.names)} from ({rows}) order by id", schema))

    def log_changes(self, changed: Sequence[int], *, batch: int = NEXT) -> None:
        """One batch more in the log.

        :param changed: the users that it observed.
        :param batch: its number. A batch that grows is consumed again, and not in order any more.
        """
        observed = observations(these(changed), OBSERVATIONS, OBSERVATIONS, newest=batch)
        self._append(self.tables.changes, self._log(observed))

    def versions_of(self, changed: Sequence[int], *, batch: int = NEXT) -> pa.Table:
        """What the dimension holds of some users after `log_changes`, but for _dbt_updated_at; sorted.

        :param changed: their numbers.
        :param batch: as of `log_changes`.
        """
        found = self._database.execute(version_rows(observations(these(changed), 0, OBSERVATIONS, newest=batch)))
        return found.to_arrow_table().drop_columns("_dbt_updated_at")

    def _log(self, observed: str) -> str:
        return log_rows(observed, self.object_file.columns)

    def _append(self, name: str, select: str) -> None:
        table = self.catalog.load_table(name)
        schema = arrow_schema(table)
        table.append(self._read(f"select {', '.join(schema.names)} from ({select})", schema))

    def _read(self, select: str, schema: pa.Schema) -> pa.Table:
        return self._database.execute(select).to_arrow_table().cast(schema)
