"""What is remembered of an org's fields: one commit, only when there is something new, whoever else remembers too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from include.lake.known_fields import SCHEMA, read_known_fields, remember_fields
from include.staging.known_field import KnownField

T0 = datetime(2026, 1, 5, tzinfo=UTC)
T6 = datetime(2026, 1, 5, 6, 0, 0, 123456, tzinfo=UTC)
OPS = "sf_ops"


def known(name: str, **changed: Any) -> KnownField:
    values = {"salesforce_type": "string", "state": "there", "first_seen": None, "last_changed": T0}
    return KnownField(field=name, **(values | changed))


MEMORY = {
    "id": known("Id", salesforce_type="id"),
    "audit_phase__c": known("Audit_Phase__c", state="gone", last_changed=T6),
    "seats__c": known("Seats__c", salesforce_type="", state="gone"),
    "team__c": known("Team__c", first_seen=T6, last_changed=T6),
}


def becomes(memory: dict[str, KnownField]) -> Callable[[Mapping[str, KnownField]], dict[str, KnownField]]:
    """A look that finds this, whatever was known."""
    return lambda _: memory


def snapshots(lake: Any) -> int:
    return len(lake.catalog.load_table(f"{OPS}.known_fields").snapshots())


def test_nothing_is_known_before_the_first_look(lake: Any) -> None:
    assert read_known_fields(lake.catalog, OPS, "User") == {}
    lake.catalog.create_namespace(OPS)
    assert read_known_fields(lake.catalog, OPS, "User") == {}


def test_what_is_remembered_is_read_back_for_each_object(lake: Any) -> None:
    assert remember_fields(lake.catalog, OPS, "User", becomes(MEMORY))
    assert remember_fields(lake.catalog, OPS, "Account", becomes({"id": known("Id")}))
    assert read_known_fields(lake.connect(), OPS, "User") == MEMORY
    assert read_known_fields(lake.connect(), OPS, "Account") == {"id": known("Id")}
    changed = {**MEMORY, "id": known("ID", last_changed=T6)}
    assert remember_fields(lake.catalog, OPS, "User", becomes(changed))
    assert read_known_fields(lake.connect(), OPS, "User") == changed
    assert read_known_fields(lake.connect(), OPS, "Account") == {"id": known("Id")}
    assert lake.catalog.load_table(f"{OPS}.known_fields").schema().column_names == SCHEMA.column_names


def test_nothing_new_commits_nothing(lake: Any) -> None:
    remember_fields(lake.catalog, OPS, "User", becomes(MEMORY))
    before = snapshots(lake)
    assert not remember_fields(lake.catalog, OPS, "User", dict)
    assert snapshots(lake) == before


def test_many_may_remember_at_once(lake: Any) -> None:
    """Every one of them adds its field to what the others have found; the first commit makes the table as well."""
    writers = 5
    start = threading.Barrier(writers)

    def remember(number: int) -> bool:
        catalog = lake.connect()
        start.wait()

        def look(before: Mapping[str, KnownField]) -> dict[str, KnownField]:
            return {**before, f"field_{number}": known(f"Field_{number}"), "id": known("Id")}

        return remember_fields(catalog, OPS, "User", look)

    with ThreadPoolExecutor(writers) as pool:
        assert all(pool.map(remember, range(writers)))
    rows = lake.catalog.load_table(f"{OPS}.known_fields").scan().to_arrow().to_pylist()
    assert sorted(row["field"] for row in rows) == [*(f"Field_{number}" for number in range(writers)), "Id"]
