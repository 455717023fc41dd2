"""Erasure beside what else goes on: other erasures, spellings, commits that came first, processes that died."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from include.lake import erased
from include.lake.erased import read_erased, record_request
from include.lake.known_fields import read_known_fields, remember_fields
from include.staging.known_field import KnownField
from tests.include.lake.test_erasure import HER, NOW, ORG, erasing_lake, fill, forget, people, register

__all__ = ["erasing_lake"]


@pytest.mark.parametrize(("before", "after"), [("User", "user"), ("user", "User")])
def test_how_the_object_file_spells_the_object_does_not_matter(erasing_lake: Any, before: str, after: str) -> None:
    erasing_lake.object_file = erasing_lake.object_file.model_copy(update={"object": before})
    erasing_lake.run(people(erasing_lake), end=6)
    forget(erasing_lake)
    erasing_lake.object_file = erasing_lake.object_file.model_copy(update={"object": after})
    erasing_lake.run(people(erasing_lake, at=7), start=5, end=12)
    assert HER not in erasing_lake.mirror()
    assert forget(erasing_lake).repeated
    assert len(register(erasing_lake)) == 1


def test_rows_that_were_recorded_as_spelt_still_count(erasing_lake: Any) -> None:
    record_request(erasing_lake.catalog, "sf_ops", object_name="User", digests=["a"], run_id="r", requested_at=NOW)
    table = erasing_lake.catalog.load_table("sf_ops.erasures")
    rows = table.scan().to_arrow()
    table.overwrite(rows.set_column(0, "object", pa.array(["User"])))
    found = read_erased(erasing_lake.catalog, "sf_ops", object_name="user", org_id=ORG)
    again = record_request(
        erasing_lake.catalog, "sf_ops", object_name="uSER", digests=["a", "b"], run_id="r", requested_at=NOW
    )
    assert (found.digests, again) == ({"a"}, {"b"})


def test_known_fields_do_not_depend_on_the_spelling_either(erasing_lake: Any) -> None:
    name = KnownField(field="Name", salesforce_type="string", state="there", first_seen=None, last_changed=None)
    assert remember_fields(erasing_lake.catalog, "sf_ops", "User", lambda _: {"name": name})
    assert not remember_fields(erasing_lake.catalog, "sf_ops", "user", lambda _: {"name": name})
    assert set(read_known_fields(erasing_lake.catalog, "sf_ops", "USER")) == {"name"}


def test_the_same_person_asked_for_twice_at_once_is_recorded_once(
    erasing_lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(erasing_lake)
    real = erased._replace

    def overtaken(*args: Any) -> None:
        monkeypatch.setattr(erased, "_replace", real)
        forget(erasing_lake, alone=False, run_id="other")
        real(*args)

    record_request(erasing_lake.catalog, "sf_ops", object_name="Account", digests=["a"], run_id="r", requested_at=NOW)
    monkeypatch.setattr(erased, "_replace", overtaken)
    forget(erasing_lake, alone=False)
    assert [row["run_id"] for row in register(erasing_lake) if row["object"] == "user"] == ["other"]
