"""Whatever JSON Salesforce can send becomes exact Arrow columns, or an error that names field and value."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.salesforce.convert import from_json
from include.salesforce.errors import UnexpectedSchema
from include.staging.columns import COLUMN_TYPES, column_type, staged_schema
from include.staging.manifest import FieldPlan, ReadPlan, Window


def plan(**types: str) -> ReadPlan:
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    return ReadPlan(
        noun="thing",
        object="Thing__c",
        org_id="00D000000000001EAA",
        run_id="r",
        window=Window(start=None, end=moment, kind="manual", full_refresh=True, reason="test"),
        fields=tuple(
            FieldPlan(name=name, column=name.lower(), salesforce_type=kind, column_type=column_type(kind))
            for name, kind in types.items()
        ),
        has_is_deleted=False,
        cursor="SystemModstamp",
        api="rest",
        estimated_rows=1,
        planned_at=moment,
    )


def one_column(kind: str, values: list[Any]) -> list[Any]:
    planned = plan(V=kind)
    schema = staged_schema(["v"], {"v": column_type(kind)})
    # By way of JSON text, as it comes from Salesforce.
    records = json.loads(json.dumps([{"attributes": {"type": "X"}, "V": value} for value in values]))
    return from_json(records, plan=planned, schema=schema).column("v").to_pylist()


def test_every_type_of_datetime_that_salesforce_writes_is_read() -> None:
    texts = ["2026-01-05T06:00:00.000+0000", "2026-01-05T06:00:00.000Z", "2026-01-05T06:00:00Z", None, ""]
    six = datetime(2026, 1, 5, 6, tzinfo=UTC)
    assert one_column("datetime", texts) == [six, six, six, None, None]
    years = ["0001-01-01T00:00:00.000+0000", "9999-12-31T23:59:59.000+0000"]
    assert [value.year for value in one_column("datetime", years)] == [1, 9999]


def test_numbers_flags_and_dates_keep_their_type() -> None:
    assert one_column("int", [3, 17.0, "8", None, -(2**62)]) == [3, 17, 8, None, -(2**62)]
    assert one_column("currency", [1, 2.5, "3.5", None]) == [1.0, 2.5, 3.5, None]
    assert one_column("boolean", [True, False, None, "true"]) == [True, False, None, True]
    assert one_column("date", ["2021-05-19", None]) == [date(2021, 5, 19), None]


def test_strings_are_kept_to_the_letter_and_the_empty_one_is_not_null() -> None:
    texts = ["", None, "a\nb", "nul\x00byte", "👩‍👩‍👧", "\u202ertl", "x" * 131_072]
    assert one_column("string", texts) == texts


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert one_column("string", ["a\ud800b", "\ud83d\ude00", None]) == ["a\ufffdb", "😀", None]


def test_a_value_that_is_no_text_is_kept_as_its_json() -> None:
    assert one_column("anyType", [5, True, {"a": "ü"}, "x", None]) == ["5", "true", '{"a": "ü"}', "x", None]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("datetime", "yesterday"),
        ("datetime", "2026-02-30T00:00:00.000Z"),
        ("datetime", "2026-01-05T06:00:00"),
        ("datetime", 5),
        ("date", "05/19/2021"),
        ("boolean", "perhaps"),
        ("int", 1.5),
        ("int", True),
        ("int", 2**63),
        ("double", "much"),
    ],
)
def test_a_value_of_another_type_is_named(kind: str, value: Any) -> None:
    with pytest.raises(UnexpectedSchema, match=r"Thing__c\.V is of type") as caught:
        one_column(kind, [None, value])
    assert repr(value)[:10] in str(caught.value)


def test_a_selected_field_that_is_not_answered_is_an_error() -> None:
    with pytest.raises(UnexpectedSchema, match=r"Thing__c\.V was selected"):
        from_json([{"Id": "x"}], plan=plan(V="string"), schema=staged_schema(["v"], {}))


def test_what_the_org_does_not_show_is_null_and_nothing_is_deleted() -> None:
    schema = staged_schema(["id", "division", "createddate", "isdeleted"], {"id": "string"})
    batch = from_json([{"Id": "1"}, {"Id": "2"}], plan=plan(Id="id"), schema=schema)
    assert batch.to_pylist() == [
        {"id": name, "division": None, "createddate": None, "isdeleted": False} for name in ("1", "2")
    ]
    assert [str(field.type) for field in batch.schema] == ["string", "string", "timestamp[us, tz=UTC]", "bool"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(kind=st.sampled_from(["string", "datetime", "date", "boolean", "int", "double"]), values=st.lists(JSON_VALUES))
def test_any_json_is_read_exactly_or_refused(kind: str, values: list[Any]) -> None:
    # Anything but this error would be a traceback in somebody's task log.
    with contextlib.suppress(UnexpectedSchema):
        read = one_column(kind, values)
        assert len(read) == len(values)
        assert pa.array(read, COLUMN_TYPES[column_type(kind)]).to_pylist() == read


@given(st.lists(st.text(alphabet=st.characters(codec=None, categories=None)) | st.none()))
def test_any_text_whatsoever_can_be_staged(values: list[str | None]) -> None:
    read = one_column("string", values)
    for kept, given_value in zip(read, values, strict=True):
        if given_value is None or kept == given_value:
            continue
        assert "\ufffd" in kept
        assert any("\ud800" <= character <= "\udfff" for character in given_value)
