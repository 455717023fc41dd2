from __future__ import annotations

import hashlib
import random
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from include.lake.row_hash import row_hashes

MOMENT = datetime(2026, 1, 5, 7, 12, 0, 5, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("systemmodstamp", pa.timestamp("us", tz="UTC")),
        ("isactive", pa.bool_()),
        ("seats", pa.int64()),
        ("rate", pa.float64()),
        ("since", pa.date32()),
    ]
)


def one(**values: Any) -> str:
    row = {name: values.get(name) for name in SCHEMA.names}
    found: str = row_hashes(pa.Table.from_pylist([row], SCHEMA), SCHEMA.names)[0].as_py()
    return found


def test_the_encoding_is_what_the_module_says() -> None:
    text = "2:id:3:005" + "8:isactive:5:false" + "4:rate:1:2" + "5:seats:1:7" + "5:since:5:20458"
    text += "14:systemmodstamp:16:1767597120000005"
    expected = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    assert one(id="005", isactive=False, rate=2.0, seats=7, since=date(2026, 1, 5), systemmodstamp=MOMENT) == expected


def test_nothing_but_names_and_values_matters() -> None:
    chance = random.Random(7)
    rows = [
        {
            "id": f"{number}",
            "name": chance.choice([None, "", "Ann", "Ünal 🚀", "x" * 5_000]),
            "systemmodstamp": MOMENT,
            "isactive": chance.choice([True, False, None]),
            "seats": chance.choice([None, 0, -1, 2**53 + 1]),
            "rate": chance.choice([None, 0.0, 0.1, -2.5, 1e300]),
            "since": chance.choice([None, date(1, 1, 1), date(9999, 12, 31)]),
        }
        for number in range(70_000)
    ]
    table = pa.Table.from_pylist(rows, SCHEMA)
    expected = row_hashes(table, SCHEMA.names).to_pylist()
    assert len(set(expected)) == len(rows)
    shuffled = table.select(list(reversed(SCHEMA.names)))
    assert row_hashes(shuffled, reversed(SCHEMA.names)).to_pylist() == expected
    chunked = pa.concat_tables([table.slice(0, 13), table.slice(13, 40_000), table.slice(40_013)])
    assert row_hashes(chunked, SCHEMA.names).to_pylist() == expected
    encoded = table.set_column(1, "name", table.column("name").dictionary_encode())
    encoded = encoded.set_column(0, "id", encoded.column("id").cast(pa.large_string()))
    assert row_hashes(encoded, SCHEMA.names).to_pylist() == expected
    assert [row_hashes(batch, SCHEMA.names)[0].as_py() for batch in table.to_batches(max_chunksize=10_000)] == (
        expected[::10_000]
    )


@pytest.mark.parametrize(
    ("one_way", "another"),
    [
        ({"name": "ab"}, {"name": "a", "id": "b"}),
        ({"name": "1:x"}, {"name": "1:y"}),
        ({"isactive": False}, {}),
        ({"isactive": False}, {"isactive": True}),
        ({"seats": 0}, {}),
        ({"seats": 2**53}, {"seats": 2**53 + 1}),
        ({"rate": 0.1}, {"rate": 0.1 + 2**-55}),
        ({"systemmodstamp": MOMENT}, {"systemmodstamp": MOMENT.replace(microsecond=6)}),
        ({"name": "a"}, {"name": "A"}),
        ({"name": "a "}, {"name": "a"}),
        ({"name": "2:id:1:x"}, {"id": "x"}),
        ({"name": "a\x00"}, {"name": "a"}),
    ],
)
def test_different_records_have_different_hashes(one_way: dict[str, Any], another: dict[str, Any]) -> None:
    assert one(**one_way) != one(**another)


@pytest.mark.parametrize(
    ("one_way", "another"),
    [
        ({"name": ""}, {"name": None}),
        ({"rate": -0.0}, {"rate": 0.0}),
    ],
)
def test_what_means_the_same_hashes_the_same(one_way: dict[str, Any], another: dict[str, Any]) -> None:
    assert one(**one_way) == one(**another)


def test_a_whole_number_is_the_same_as_long_and_as_double() -> None:
    longs = pa.table({"seats": pa.array([0, 7, -12, None])})
    doubles = pa.table({"seats": pa.array([0.0, 7.0, -12.0, None])})
    assert row_hashes(longs, ["seats"]) == row_hashes(doubles, ["seats"])


def test_a_column_that_is_added_and_empty_changes_no_hash() -> None:
    before = pa.table({"id": ["005"]})
    after = pa.table({"id": ["005"], "title": pa.array([None], pa.string())})
    assert row_hashes(before, ["id"]) == row_hashes(after, ["id", "title"])


def test_no_rows_and_no_values_are_no_problem() -> None:
    assert row_hashes(pa.table({"id": pa.array([], pa.string())}), ["id"]).to_pylist() == []
    nothing = pa.table({"id": pa.array([None], pa.string())})
    assert row_hashes(nothing, ["id"]).to_pylist() == [hashlib.md5(b"", usedforsecurity=False).hexdigest()]


def test_a_type_without_canonical_text_is_refused() -> None:
    with pytest.raises(TypeError, match="column tags has type list"):
        row_hashes(pa.table({"tags": [["a"]]}), ["tags"])
