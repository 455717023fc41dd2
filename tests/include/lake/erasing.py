"""People in a lake, one of whom will be forgotten."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from include.lake.erasure import erase
from include.lake.erasure_report import ErasureReport
from include.quality.quarantine import write_quarantine
from include.quality.quarantine_table import Origin
from include.staging.store import write_parquet

NOW = datetime(2026, 1, 9, tzinfo=UTC)
MARK = "Zzyzx Marker"
HER = "005000000000007AAA"
ORG = "00D000000000001AAA"
PLACES = ("changes", "mirror", "quarantine", "dimension", "snapshot")
#: What `fill` puts into each place of hers, as the register counts it.
ROWS_OF_HERS = {
    "staged_rows": 5,
    "changes_rows": 3,
    "mirror_rows": 1,
    "quarantine_rows": 2,
    "dimension_rows": 3,
    "snapshot_rows": 3,
}


def user(number: int) -> str:
    return f"005{number:012d}AAA"


def people(lake: Any, count: int = 12, at: float = 1, **values: Any) -> list[dict[str, Any]]:
    """Some people; number 7 is she who will be forgotten."""
    return [
        lake.record(user(number), at, **({"name": MARK} if user(number) == HER else {}), **values)
        for number in range(count)
    ]


def fill(lake: Any) -> None:
    """Three runs, a quarantine, and what dbt would have made of them (in Iceberg, by another writer)."""
    lake.run(people(lake), end=6)
    lake.run(people(lake, at=7, division="South"), start=5, end=12)
    lake.run(people(lake, at=13, division="West")[4:9], start=11, end=18)
    quarantine(lake, [HER, user(3)], run_id="rejecting")
    for name, column in ((lake.tables.dimension, "user_id"), (lake.tables.snapshot, "user_id")):
        rows = lake.table("changes").scan(selected_fields=("id", "name", "division")).to_arrow()
        table = lake.catalog.create_table(name, rows.rename_columns([column, "name", "division"]).schema)
        table.append(rows.rename_columns([column, "name", "division"]).cast(table.schema().as_arrow()))


def quarantine(lake: Any, ids: list[str], *, run_id: str, erased: Any = None) -> int:
    """Rejects of a run: the first one's record names the others, and one has no Id of its own."""
    rows = [
        {"id": one, "record": json.dumps({"id": one, "name": MARK if one == HER else "?"}), "reasons": "no name"}
        for one in ids
    ]
    rows += [{"id": None, "record": json.dumps({"id": None, "managerid": one}), "reasons": "no Id"} for one in ids]
    schema = pa.schema([("id", pa.string()), ("record", pa.string()), ("reasons", pa.string())])
    folder = str(lake.folder / "staging" / "sf_user" / run_id / "validate")
    return write_quarantine(
        catalog=lake.catalog,
        table_name=lake.tables.quarantine,
        reject_files=write_parquet(folder, [pa.Table.from_pylist(rows, schema)], schema, "rejects"),
        origin=Origin(
            run_id=run_id, extracted_at=NOW, window_end=NOW, observed_columns="id,isdeleted,name", org_id=ORG
        ),
        quarantined_at=NOW,
        erased=erased,
    )


def forget(lake: Any, *ids: str, **kwargs: Any) -> ErasureReport:
    settings: dict[str, Any] = {"run_id": "manual__erase", "erased_at": NOW, "alone": True, **kwargs}
    return erase(lake.catalog, lake.object_file, lake.environment, ids or (HER,), **settings)


def register(lake: Any) -> list[dict[str, Any]]:
    return lake.catalog.load_table("sf_ops.erasures").scan().to_arrow().to_pylist()
