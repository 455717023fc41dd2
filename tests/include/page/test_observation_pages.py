"""Observations page by page: what a run publishes between two pages, and how much a cursor has to carry."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from include.config.object_file import ObjectFile
from include.page.answers import BadRequest
from include.page.cursor import LONGEST
from include.page.observations import ObservationReader
from include.page.record import RecordView
from tests.include.page.lakes import (
    USER,
    Links,
    catalog_in,
    consume,
    log,
    new_cache,
    object_lake,
    publish,
    user_id,
    versions_of,
)


def reader(catalog: SqlCatalog, page_size: int, object_file: ObjectFile = USER) -> ObservationReader:
    return ObservationReader(lake=object_lake(catalog, object_file), cache=new_cache(), page_size=page_size)


def test_a_page_from_before_a_publication_is_not_gone_on_with(tmp_path: Path) -> None:
    """What was replayed lies between observations that were placed already, and opens a version there."""
    catalog = catalog_in(tmp_path)
    log(catalog, ("r0", 0, "A"), ("replayed 1", 1, "X"), ("r2", 2, "B"), ("r3", 3, "C"))
    consume(catalog, ("r0", 0), ("r2", 2), ("r3", 3))
    first = reader(catalog, 2).read(user_id(1))
    rest = reader(catalog, 2).read(user_id(1), first.next)
    assert [placed and placed.version for _, placed in (*first.placed, *rest.placed)] == [0, None, 1, 2]
    consume(catalog, ("replayed 1", 1))
    with pytest.raises(BadRequest, match="A run has published since") as refused:
        reader(catalog, 2).read(user_id(1), first.next)
    assert refused.value.remedy == "Open the record again."
    whole = reader(catalog, 9).read(user_id(1))
    assert [placed and placed.version for _, placed in whole.placed] == [0, 1, 2, 3]


def test_what_is_published_while_a_record_is_read_is_in_no_version_that_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run publishes right before the second of the two is read, whichever that is."""
    catalog = catalog_in(tmp_path)
    log(catalog, ("r0", 0, "North"), ("r1", 1, "South"))
    consume(catalog, ("r0", 0))
    publish(catalog, versions_of(1, {"division": "North"}))
    read, seen = [], []

    def published() -> None:
        if read == [1]:
            catalog.load_table(f"sf_curated.{USER.dimension}").delete(f"user_id == '{user_id(1)}'")
            publish(catalog, versions_of(1, {"division": "North"}, {"division": "South"}))
            consume(catalog, ("r1", 1))
        read.append(1)

    for kind, name in ((ObservationReader, "read"), (RecordView, "_versions")):
        real = getattr(kind, name)
        monkeypatch.setattr(
            kind, name, lambda *given, real=real, **named: (published(), seen.append(1), real(*given, **named))[-1]
        )
    shown = RecordView(lake=object_lake(catalog), cache=new_cache(), links=Links()).show(user_id(1), site=None)
    assert seen == [1, 1]
    assert shown["pending"] == sum(one["version"] is None for one in shown["observations"])


@pytest.mark.parametrize("count", [2, 40, 200])
def test_a_cursor_can_be_handed_back_however_many_fields_are_tracked(tmp_path: Path, count: int) -> None:
    catalog = catalog_in(tmp_path)
    tracked = [f"region_of_the_account_{number:03d}__c" for number in range(count)]
    fields = {"fields": ("Id", "LastModifiedDate", "SystemModstamp", "IsDeleted", *tracked), "tracked": tuple(tracked)}
    log(catalog, ("r0", 0, "A"), ("r1", 1, "A"), ("r2", 2, "B"), tracked=tracked)
    consume(catalog, ("r0", 0), ("r1", 1), ("r2", 2))
    versions, page = [], None
    for number in range(3):
        found = reader(catalog, 1, USER.model_copy(update=fields)).read(user_id(1), page)
        versions += [(placed.version, placed.opens) for _, placed in found.placed if placed]
        page = found.next
        assert (page is None) == (number == 2)
        assert page is None or len(page) <= LONGEST
    assert versions == [(0, True), (0, False), (1, True)]


def test_a_column_that_the_log_has_not_got_yet_is_empty(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    log(catalog, ("r0", 0, "A"), tracked=["division"])
    table = catalog.load_table("sf_raw.sf_user_changes")
    rows = table.scan().to_arrow().to_pylist()
    table.overwrite(
        pa.Table.from_pylist([{**row, "_observed_columns": None} for row in rows], table.schema().as_arrow())
    )
    consume(catalog, ("r0", 0))
    ((_, placed),) = reader(catalog, 9).read(user_id(1)).placed
    assert placed is not None
    assert (placed.version, placed.opens) == (0, True)


def test_the_page_goes_on_from_each_answer_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalog_in(tmp_path)
    log(catalog, *((f"r{number}", number, f"v{number}") for number in range(4)))
    monkeypatch.setattr(RecordView, "_reader", property(lambda _: reader(catalog, 1)))
    view = RecordView(lake=object_lake(catalog), cache=new_cache(), links=Links())
    first = view.show(user_id(1), site=None)
    seen, page = first["observations"], first["observations_next"]
    while page is not None:
        answer = view.observations(user_id(1), page)
        seen, page = [*seen, *answer["observations"]], answer["next"]
    assert [one["run_id"] for one in seen] == ["r0", "r1", "r2", "r3"]


def test_each_page_tells_how_many_of_it_are_pending(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    log(catalog, *((f"r{number}", number, f"v{number}") for number in range(5)))
    consume(catalog, ("r0", 0), ("r1", 1))
    pages, page = [], None
    while True:
        found = reader(catalog, 3).read(user_id(1), page)
        pages.append(found.pending)
        page = found.next
        if page is None:
            break
    assert pages == [1, 2]
