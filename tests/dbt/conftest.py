"""A lake for dbt: raw tables as the upsert task would leave them, and dbt in this process on top of it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from dbt.cli.main import dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import IcebergType

from tests.engines.engines import Engine, duckdb_engine, failures

PROJECT = Path(__file__).resolve().parents[2]
MOMENT = pa.timestamp("us", tz="UTC")
FIELDS = {
    "user": {
        "id": pa.string(),
        "name": pa.string(),
        "division": pa.string(),
        "audit_phase__c": pa.string(),
        "lastmodifieddate": MOMENT,
        "systemmodstamp": MOMENT,
        "isactive": pa.bool_(),
        "isdeleted": pa.bool_(),
        "createddate": MOMENT,
    },
    "account": {
        "id": pa.string(),
        "name": pa.string(),
        "ownerid": pa.string(),
        "industry": pa.string(),
        "rating": pa.string(),
        "lastmodifieddate": MOMENT,
        "systemmodstamp": MOMENT,
        "isdeleted": pa.bool_(),
        "createddate": MOMENT,
    },
}
TAIL = {"_extracted_at": MOMENT, "_extraction_run_id": pa.string(), "_row_hash": pa.string()}
LOG_TAIL = {"_change": pa.string(), "_window_end": MOMENT, "_observed_columns": pa.string()}


def moment(text: str) -> datetime:
    """`2026-01-05 06:00` as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class HistoryLake:
    """One lake of one test: log batches in, dbt over it, dimension out.

    :param engine: has the lake, empty, with the default names; runs dbt.
    :param spared: what `history` leaves out besides, in dbt's words.
    """

    def __init__(self, engine: Engine, *, spared: Sequence[str] = ()) -> None:
        self._spared = spared
        self.catalog: Catalog = engine.catalog
        self.fields = {noun: dict(fields) for noun, fields in FIELDS.items()}
        self._engine = engine
        self._project = PROJECT / "dbt"
        self._batches = itertools.count(1)
        for namespace in ("sf_raw", "sf_curated"):
            self.catalog.create_namespace_if_not_exists(namespace)
        for noun, fields in FIELDS.items():
            self.catalog.create_table(f"sf_raw.sf_{noun}", pa.schema({**fields, **TAIL}))
            log = self.catalog.create_table(f"sf_raw.sf_{noun}_changes", pa.schema({**fields, **TAIL, **LOG_TAIL}))
            with log.update_spec() as update:
                update.add_field("_extracted_at", DayTransform(), "extracted_day")
            self.catalog.create_table(
                f"sf_raw.sf_{noun}_quarantine",
                pa.schema(
                    {
                        "id": pa.string(),
                        "record": pa.string(),
                        "reasons": pa.string(),
                        "_extraction_run_id": pa.string(),
                        "_quarantined_at": MOMENT,
                    }
                ),
            )
            self.catalog.create_table(
                f"sf_curated.sf_{noun}_consumed",
                pa.schema(
                    {
                        "_extraction_run_id": pa.string(),
                        "_extracted_at": MOMENT,
                        "observations": pa.int64(),
                        "content": pa.int64(),
                    }
                ),
            )

    @property
    def parsed(self) -> Manifest:
        """The project that dbt runs."""
        return self._engine.parsed(self._project)

    def follow(self, project: Path) -> None:
        """Go on with another dbt project over the same lake.

        :param project: its folder.
        """
        self._project = project

    def add_field(self, name: str, kind: IcebergType, noun: str = "user") -> None:
        """Give mirror and log a column more, as the upsert does when the object file gains a field."""
        for table in (f"sf_raw.sf_{noun}", f"sf_raw.sf_{noun}_changes"):
            with self.catalog.load_table(table).update_schema() as update:
                update.add_column(name, kind)
        self.fields[noun][name] = schema_to_pyarrow(kind)

    def observation(self, record: str, at: str, noun: str = "user", **values: Any) -> dict[str, Any]:
        """One row of the log. Dates that are not given are `at`; so is the window's end, one hour later.

        :param at: LastModifiedDate, `2026-01-05 06:00`.
        :param values: columns that are not as usual; moments as text.
        """
        row: dict[str, Any] = dict.fromkeys([*self.fields[noun], *TAIL, *LOG_TAIL])
        row |= {
            "id": record,
            "name": f"Name of {record}",
            "lastmodifieddate": at,
            "systemmodstamp": values.get("lastmodifieddate", at),
            "createddate": "2020-01-01",
            "isdeleted": False,
            "_change": "upsert",
            "_window_end": str(datetime.fromisoformat(at) + timedelta(hours=1)),
        }
        if "isactive" in row:
            row["isactive"] = True
        row |= values
        for column, kind in {**self.fields[noun], **TAIL, **LOG_TAIL}.items():
            if kind == MOMENT and isinstance(row[column], str):
                row[column] = moment(row[column])
        hashed = repr([(name, row[name]) for name in sorted(self.fields[noun]) if row[name] is not None])
        row["_row_hash"] = hashlib.sha256(hashed.encode()).hexdigest()
        return row

    def log(self, *rows: dict[str, Any], run: str | None = None, at: str | None = None, noun: str = "user") -> None:
        """Append one batch to the log, in one commit.

        :param run: _extraction_run_id; default: a new one.
        :param at: _extracted_at; default: later than the batch before.
        """
        number = next(self._batches)
        extracted = moment(at) if at else datetime(2026, 6, 1, tzinfo=UTC) + timedelta(hours=number)
        batch = [{**row, "_extraction_run_id": run or f"run-{number}", "_extracted_at": extracted} for row in rows]
        schema = pa.schema({**self.fields[noun], **TAIL, **LOG_TAIL})
        self.catalog.load_table(f"sf_raw.sf_{noun}_changes").append(pa.Table.from_pylist(batch, schema))

    def mirror(self, *rows: dict[str, Any], noun: str = "user") -> None:
        """Make these observations the mirror."""
        schema = pa.schema({**self.fields[noun], **TAIL})
        wanted = [{**row, "_extraction_run_id": "run", "_extracted_at": moment("2026-06-01")} for row in rows]
        self.catalog.load_table(f"sf_raw.sf_{noun}").overwrite(pa.Table.from_pylist(wanted, schema))

    def dbt(self, *arguments: str) -> dbtRunnerResult:
        """Run dbt in this process; the result says what failed."""
        return self._engine.dbt(*arguments, project=self._project)

    def history(self, *flags: str, noun: str = "user") -> None:
        """Bring the dimension up to date, audited, without the snapshot; every node must succeed."""
        result = self.dbt(
            "build", "--select", f"tag:sf_{noun}", "--exclude", "resource_type:snapshot", "resource_type:unit_test",
            "sf_raw.*", *self._spared, *flags,
        )  # fmt: skip
        assert result.success, failures(result)

    def versions(self, noun: str = "user") -> list[dict[str, Any]]:
        """The dimension, ordered, without _dbt_updated_at."""
        table = self.dimension(noun).scan().to_arrow().drop_columns("_dbt_updated_at")
        return table.sort_by([(f"{noun}_id", "ascending"), ("effective_from", "ascending")]).to_pylist()

    def dimension(self, noun: str = "user") -> Table:
        """The dimension's Iceberg table."""
        return self.catalog.load_table(f"sf_curated.dim_sf_{noun}_scd")

    def ledger(self, noun: str = "user") -> list[tuple[str, datetime, int]]:
        """Batches that the ledger has, sorted."""
        rows = self.catalog.load_table(f"sf_curated.sf_{noun}_consumed").scan().to_arrow().to_pylist()
        return sorted((row["_extraction_run_id"], row["_extracted_at"], row["observations"]) for row in rows)


@pytest.fixture(scope="session")
def project_variables() -> dict[str, Any]:
    """`vars` of dbt_project.yml."""
    return yaml.safe_load((PROJECT / "dbt" / "dbt_project.yml").read_text(encoding="utf-8"))["vars"]


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The project as parsed for the laptop."""
    return duckdb_engine(tmp_path_factory.mktemp("manifest")).parsed()


@pytest.fixture
def history_lake(tmp_path: Path) -> HistoryLake:
    """An empty lake with the raw tables of User and Account."""
    return HistoryLake(duckdb_engine(tmp_path))
