"""SOQL: every operator against a plain filter, and Salesforce's complaints."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.org import timestamps
from local.org.database import Database
from local.org.errors import SalesforceError
from local.org.event import Event
from local.org.ids import numbered, to_18
from local.org.queries import Queries
from local.org.schema import Schema
from local.org.soql import parse
from local.org.store import Store

START = timestamps.parse("2026-01-05T00:00:00Z")
TEXTS = [None, "North", "north", "South", "O'Brien", "100%", "a_b", "axb", 'quo"te', "back\\slash", "line\nbreak", "ÄÖ"]
ROWS: list[dict[str, Any]] = [
    {
        "Id": numbered("001", 7 * number + 36**2),
        "Name": TEXTS[number % len(TEXTS)],
        "Site": TEXTS[(number // 3) % len(TEXTS)],
        "NumberOfEmployees": None if number % 7 == 0 else number % 5,
        "AnnualRevenue": None if number % 6 == 0 else number / 4,
        "IsPartner": number % 2 == 0,
        "LastActivityDate": None if number % 4 == 0 else f"2026-01-{number % 9 + 1:02d}",
        "SystemModstamp": START + number * 600,
        "OwnerId": numbered("005", number % 5),
    }
    for number in range(60)
]


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Queries:
    store = Store(database=Database(tmp_path_factory.mktemp("soql") / "org.sqlite"), schema=Schema.standard())
    store.set_clock(START + 10**6)
    store.add_events(
        Event(
            row["SystemModstamp"],
            "insert",
            "Account",
            row["Id"],
            {key: value for key, value in row.items() if key not in ("Id", "SystemModstamp")},
        )
        for row in ROWS
    )
    return Queries(store=store)


def find(queries: Queries, tail: str) -> list[str]:
    return list(queries.ids(queries.plan(f"SELECT Id FROM Account {tail}"), include_deleted=False))


def quote(text: str) -> str:
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", '"': '\\"'}
    return "'" + "".join(escapes.get(char, char) for char in text) + "'"


Check = Callable[[dict[str, Any]], bool]


def comparisons() -> st.SearchStrategy[tuple[str, Check]]:
    def ordered(field: str, sign: str, literal: str, value: Any) -> tuple[str, Check]:
        def compare(row: dict[str, Any]) -> bool:
            left = row[field]
            left, right = (item.lower() if isinstance(item, str) and field != "Id" else item for item in (left, value))
            if sign == "=":
                return bool(left == right)
            if sign == "!=":
                return bool(left != right)
            if left is None:
                return False
            return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign])

        return f"{field} {sign} {literal}", compare

    def member(field: str, values: list[str | None], negated: bool) -> tuple[str, Check]:
        listed = ", ".join("null" if value is None else quote(value) for value in values)
        wanted = {value.lower() if value else None for value in values}
        return (
            f"{field} {'NOT IN' if negated else 'IN'} ({listed})",
            lambda row: ((row[field].lower() if row[field] else None) in wanted) != negated,
        )

    def like(field: str, pattern: str) -> tuple[str, Check]:
        pieces = [{"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern]
        regex = re.compile("".join(pieces), re.IGNORECASE | re.DOTALL)
        return f"{field} LIKE {quote(pattern)}", lambda row: bool(row[field] and regex.fullmatch(row[field]))

    signs = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    equal = st.sampled_from(["=", "!="])
    texts = [text for text in TEXTS if text] + ["SOUTH", "zz"]
    names = st.sampled_from(["Name", "Site"])
    moments = st.integers(0, 60).map(lambda number: START + number * 600)
    return st.one_of(
        st.builds(
            lambda field, sign, text: ordered(field, sign, quote(text), text), names, signs, st.sampled_from(texts)
        ),
        st.builds(lambda field, sign: ordered(field, sign, "null", None), names, equal),
        st.builds(lambda sign, n: ordered("NumberOfEmployees", sign, str(n), n), signs, st.integers(-1, 6)),
        st.builds(
            lambda sign, n: ordered("AnnualRevenue", sign, str(n), n), signs, st.sampled_from([0, 2.5, -1.0, 7, 1e1])
        ),
        st.builds(lambda sign, yes: ordered("IsPartner", sign, str(yes).upper(), yes), equal, st.booleans()),
        st.builds(lambda sign, day: ordered("LastActivityDate", sign, day, day), signs, st.just("2026-01-05")),
        st.builds(lambda sign, at: ordered("SystemModstamp", sign, timestamps.iso(at), at), signs, moments),
        st.builds(
            lambda sign, row: ordered("Id", sign, quote(row["Id"][:15]), row["Id"]), equal, st.sampled_from(ROWS)
        ),
        st.builds(lambda sign, row: ordered("Id", sign, quote(row["Id"]), row["Id"]), signs, st.sampled_from(ROWS)),
        st.builds(member, names, st.lists(st.sampled_from([*texts, None]), min_size=1, max_size=4), st.booleans()),
        st.builds(like, names, st.sampled_from(["n%", "%O%", "_b%", "a_b", "%th", "%", "nothing", "%\n%", "%'%"])),
    )


def combined(inner: st.SearchStrategy[tuple[str, Check]]) -> st.SearchStrategy[tuple[str, Check]]:
    def join(word: str, parts: list[tuple[str, Check]]) -> tuple[str, Check]:
        decide = all if word == "AND" else any
        return (
            f" {word} ".join(f"({text})" for text, _ in parts),
            lambda row: decide(check(row) for _, check in parts),
        )

    return st.one_of(
        st.builds(join, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=4)),
        st.builds(lambda part: (f"NOT ({part[0]})", lambda row: not part[1](row)), inner),
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(condition=st.recursive(comparisons(), combined, max_leaves=6))
def test_a_where_clause_finds_what_a_plain_filter_finds(queries: Queries, condition: tuple[str, Check]) -> None:
    text, check = condition
    wanted = sorted(row["Id"] for row in ROWS if check(row))
    assert sorted(find(queries, f"WHERE {text}")) == wanted
    assert queries.count(queries.plan(f"SELECT COUNT() FROM Account WHERE {text}"), include_deleted=False) == len(
        wanted
    )


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("field", ["Name", "NumberOfEmployees", "SystemModstamp"])
def test_order_by_puts_nulls_where_salesforce_does(queries: Queries, field: str, descending: bool, last: bool) -> None:
    found = find(
        queries,
        f"order by {field}{' DESC' if descending else ''}{' NULLS LAST' if last else ''}, SystemModstamp limit 20",
    )
    given_ = [row for row in ROWS if row[field] is not None]
    given_.sort(key=lambda row: row[field].lower() if field == "Name" else row[field], reverse=False)
    if descending:
        given_.sort(key=lambda row: row[field].lower() if field == "Name" else row[field], reverse=True)
    nulls = [row for row in ROWS if row[field] is None]
    assert found == [row["Id"] for row in (given_ + nulls if last else nulls + given_)][:20]


def test_names_and_keywords_are_in_any_case_and_whitespace_is_free(queries: Queries) -> None:
    found = queries.plan("select\n\tID ,nAmE\nFrom aCCount")
    assert [field.name for field in found.fields] == ["Id", "Name"]
    assert len(find(queries, "wHeRe name Not\n In ('north') aNd Account.IsPartner=tRuE LIMIT 5 offset 2")) == 5


def test_a_15_character_id_finds_the_18_character_one(queries: Queries) -> None:
    key = ROWS[5]["Id"]
    assert find(queries, f"WHERE Id IN ('{key[:15]}', '{key}')") == [key]


def test_zones_and_fractions_in_datetimes(queries: Queries) -> None:
    for text in ("2026-01-05T01:00:00.000Z", "2026-01-05T03:00:00+02:00", "2026-01-04T20:00:00-0500"):
        assert find(queries, f"WHERE SystemModstamp = {text}") == [ROWS[6]["Id"]]
    assert len(find(queries, "WHERE SystemModstamp < 2026-01-05T00:10:00.001Z")) == 2


def test_escapes_in_like(queries: Queries) -> None:
    names = {row["Id"]: row["Name"] for row in ROWS}
    assert {names[key] for key in find(queries, r"WHERE Name LIKE 'a\_b'")} == {"a_b"}
    assert {names[key] for key in find(queries, r"WHERE Name LIKE '%\%'")} == {"100%"}
    assert {names[key] for key in find(queries, r"WHERE Name LIKE '\u0041_b'")} == {"a_b", "axb"}


COMPLAINTS: list[tuple[str, str, str]] = [
    ("select Id, IsDeleted from User", "INVALID_FIELD", "No such column 'IsDeleted' on entity 'User'."),
    ("select Id from User where Foo__c = 1", "INVALID_FIELD", "Row:1:Column:27\nNo such column 'Foo__c'"),
    ("select Id from User order by Foo", "INVALID_FIELD", "No such column 'Foo'"),
    ("select Id from Usr", "INVALID_TYPE", "sObject type 'Usr' is not supported."),
    ("select Owner.Name from Account", "INVALID_FIELD", "Didn't understand relationship 'Owner' in field path."),
    ("select Id, Name, id from User", "INVALID_FIELD", "duplicate field selected: Id"),
    ("select Id from Account where Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered"),
    ("select Id from Account order by Description", "INVALID_FIELD", "field 'Description' can not be sorted"),
    ("select Id from User where Address = 'x'", "INVALID_FIELD", "can not be filtered"),
    ("select Id from User where Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
    ("select Id from User where Id like '005%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
    ("select Id from User where Name like null", "INVALID_FIELD", "must be of type string"),
    ("select Id from User where Name > null", "MALFORMED_QUERY", "null can not be compared"),
    ("select Id from User where IsActive > true", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on boolean"),
    (
        "select Id from User where CreatedDate > '2026-01-05T00:00:00Z'",
        "INVALID_FIELD",
        "value of filter criterion for field 'CreatedDate' must be of type dateTime and should not be enclosed in "
        "quotes",
    ),
    ("select Id from User where CreatedDate > 2026-01-05", "INVALID_FIELD", "must be of type dateTime"),
    ("select Id from User where Name = 5", "INVALID_FIELD", "must be of type string and should be enclosed in quotes"),
    (
        "select Id from User where IsActive = 'true'",
        "INVALID_FIELD",
        "must be of type boolean and should not be enclosed",
    ),
    ("select Id from User where NumberOfFailedLogins = 1.5", "INVALID_FIELD", "must be of type int"),
    ("select Id from User where Name = 'a' and Name = 'b' or Name = 'c'", "MALFORMED_QUERY", "unexpected token: 'or'"),
    ("select Id from User where Name = 'a' and not (Name = 'b')", "MALFORMED_QUERY", "unexpected token"),
    ("select Id from User where Name = 'O'Brien'", "MALFORMED_QUERY", "unexpected token: 'Brien'"),
    ("select Id from User where Name = 'a", "MALFORMED_QUERY", "mismatched character '<EOF>'"),
    ("select Id from User where", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
    ("select from User", "MALFORMED_QUERY", "unexpected token: 'from'"),
    ("selec Id", "MALFORMED_QUERY", "unexpected token: 'selec'"),
    ("", "MALFORMED_QUERY", "has to be specified"),
    ("select Id from User limit -1", "MALFORMED_QUERY", "'-1'"),
    ("select Id from User; drop table x", "MALFORMED_QUERY", "no viable alternative at character ';'"),
    (r"select Id from User where Name = '\q'", "MALFORMED_QUERY", "Illegal escape"),
    ("select Id from User where CreatedDate > 2026-13-05T00:00:00Z", "MALFORMED_QUERY", "2026-13-05"),
    ("select Id from User where CreatedDate > 2026-01-05T00:00:00", "MALFORMED_QUERY", "unexpected token"),
    (r"select Id from User where Name = '\ud800'", "MALFORMED_QUERY", "cannot be run"),
    (f"select Id from User where {'(not ' * 5000}Name = 'a'{')' * 5000}", "MALFORMED_QUERY", "nested"),
    (f"select Id from User where Name = '{'x' * 100_000}'", "MALFORMED_QUERY", "100000 characters"),
    ("select Id from User limit 1 offset 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
]


@pytest.mark.parametrize(("text", "code", "message"), COMPLAINTS, ids=[item[0][:50] for item in COMPLAINTS])
def test_complaints_are_salesforces_own(queries: Queries, text: str, code: str, message: str) -> None:
    with pytest.raises(SalesforceError) as caught:
        list(queries.ids(queries.plan(text), include_deleted=False))
    assert caught.value.code == code
    assert message in caught.value.message


def test_a_complaint_points_at_row_and_column() -> None:
    with pytest.raises(SalesforceError) as caught:
        parse("SELECT Id\nFROM User WHERE ?")
    assert caught.value.message.startswith("\nFROM User WHERE ?\n                ^\nERROR at Row:2:Column:17\n")


def test_thousands_of_conditions_are_no_problem(queries: Queries) -> None:
    tail = "WHERE " + " OR ".join(f"Name = 'x{number}'" for number in range(3000))
    assert find(queries, tail) == []
    listed = ", ".join(f"'{to_18(row['Id'])}'" for row in ROWS * 50)
    assert len(find(queries, f"WHERE Id IN ({listed})")) == len(ROWS)


def test_values_are_bound_never_part_of_the_sql(queries: Queries) -> None:
    hostile = 'x\') OR 1=1; DROP TABLE "rec_Account"; --'
    found = queries.plan(f"SELECT Id FROM Account WHERE Name = {quote(hostile)}")
    assert found.parameters == (hostile.lower(),)
    assert "DROP" not in found.where.upper()
    assert list(queries.ids(found, include_deleted=False)) == []
