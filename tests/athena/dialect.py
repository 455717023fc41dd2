"""From a statement of Athena's to what is asked of Trino."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from local.cloud.trino import CATALOG
from tests.athena import ddl
from tests.athena.answers import Failed, Refused, Result, Text
from tests.athena.engine import Engine, quoted
from tests.athena.properties import TableProperties, Value, of_ctas
from tests.athena.tokens import EndOfStatement, Reader, Token, place, statements, tokens

#: https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
LONGEST = 262_144

#: https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-table-metadata.html
_METADATA = frozenset({"files", "manifests", "history", "partitions", "snapshots", "refs"})

_QUERIES = frozenset({"select", "with", "values", "table", "("})
_WRITES = {"insert": "INSERT", "update": "UPDATE", "delete": "DELETE", "merge": "MERGE"}


@dataclass(frozen=True)
class Plan:
    """What a statement does.

    :param kind: Athena's StatementType.
    :param sub: Athena's SubstatementType.
    :param run: does it.
    """

    kind: Literal["DML", "DDL", "UTILITY"]
    sub: str
    run: Callable[[Engine], Result | Text]


def plan(text: str) -> Plan:
    """Read a statement.

    :param text: of StartQueryExecution.
    :raises Refused: if Athena would not even begin.
    """
    if len(text.encode()) > LONGEST:
        raise Refused(
            "1 validation error detected: Value at 'queryString' failed to satisfy constraint: Member must have length "
            f"less than or equal to {LONGEST}"
        )
    found = statements(text)
    if len(found) > 1:
        raise Refused(f"Only one sql statement is allowed. Got: {text}")
    if not found:
        raise Refused("line 1:1: mismatched input '<EOF>'. Expecting: 'ALTER', 'CREATE', 'DELETE', 'DESCRIBE', <query>")
    reader = Reader(found[0])
    try:
        return _plan(reader)
    except EndOfStatement as wrong:
        raise Refused(str(wrong)) from wrong


def _plan(reader: Reader) -> Plan:
    first = reader.here
    assert first is not None
    if first.says in _QUERIES:
        return _dml("SELECT", reader)
    if first.says in _WRITES:
        return _dml(_WRITES[first.says], reader)
    if reader.take("explain"):
        return Plan("UTILITY", "EXPLAIN", lambda engine: _lines(engine.run(in_trino(reader.sql))))
    if reader.take("create"):
        return _create(reader)
    if reader.take("drop", "view"):
        return Plan("DDL", "DROP_VIEW", lambda engine: _done(engine.run(in_trino(reader.sql))))
    return _hive(reader)


def _dml(sub: str, reader: Reader) -> Plan:
    for token in reader:
        _refuse_unknown_metadata(token)
    return Plan("DML", sub, lambda engine: engine.run(in_trino(reader.sql)))


def _create(reader: Reader) -> Plan:
    replace = reader.take("or", "replace")
    if reader.take("view"):
        return _view(reader)
    if replace:
        raise reader.unexpected("'VIEW'")
    if reader.take("external", "table"):
        return ddl.external_table(reader, Plan)
    if reader.take("schema") or reader.take("database"):
        _refuse_double_quotes(reader)
        return Plan("DDL", "CREATE_DATABASE", ddl.create_database(reader))
    if reader.take("table"):
        there = reader.take("if", "not", "exists")
        name = reader.name()
        if reader.here is not None and reader.here.text == "(":
            _refuse_double_quotes(reader)
            return Plan("DDL", "CREATE_TABLE", ddl.create_table(reader, name, unless_there=there))
        return _ctas(reader, name, unless_there=there)
    raise Refused("Queries of this type are not supported")


def _ctas(reader: Reader, name: tuple[str, ...], *, unless_there: bool) -> Plan:
    given = _properties(reader) if reader.take("with") else {}
    if not reader.take("as"):
        raise reader.unexpected("'AS', 'WITH'")
    query = in_trino(reader.rest)

    def run(engine: Engine) -> Result | Text:
        properties = of_ctas(given)
        _refuse_types(engine.columns_of(re.sub(r"(?i)\swith\s+(no\s+)?data\s*$", "", query)), properties)
        created = ddl.creation(engine, name, properties, unless_there=unless_there)
        done = engine.run(f"{created}\nas\n{query}", **ddl.session(properties))
        ddl.keep(engine, name, properties.kept)
        return Result(updated=done.updated or 0, scanned=done.scanned)

    return Plan("DDL", "CREATE_TABLE_AS_SELECT", run)


def _view(reader: Reader) -> Plan:
    name = reader.name()
    if not reader.take("as"):
        raise reader.unexpected("'AS'")
    query = in_trino(reader.rest)

    def run(engine: Engine) -> Text:
        columns = engine.columns_of(query)
        for column, kind in columns:
            if "with time zone" in kind:
                raise Failed("INVALID_VIEW", f"Invalid column type for column {column}: Unsupported Hive type: {kind}")
        engine.run(in_trino(reader.sql))
        engine.tell_glue(name, columns)
        return Text()

    return Plan("DDL", "CREATE_VIEW", run)


def _hive(reader: Reader) -> Plan:
    """DDL that Athena gives to its Hive parser: names in backticks or bare, never in double quotes."""
    for words, (kind, sub, make) in ddl.STATEMENTS.items():
        if reader.take(*words):
            _refuse_double_quotes(reader)
            return Plan(kind, sub, make(reader))
    raise Refused("Queries of this type are not supported")


def in_trino(sql: str) -> str:
    """DML as Trino reads it: Athena's name of the Glue catalog is another one there.

    :param sql: a query, a write, a view.
    """
    everything = tokens(sql)
    said = [token for token in everything if token.means_something]
    followed = {one.at for one, after in pairwise(said) if after.text == "."}
    return "".join(
        quoted(CATALOG)
        if token.at in followed and token.kind in ("word", "quoted") and token.says.lower() == "awsdatacatalog"
        else token.text
        for token in everything
    )


def _properties(reader: Reader) -> Mapping[str, Value]:
    """`( name = value , … )` of a CTAS; a value is a string, a number, true, false, or ARRAY[strings]."""
    found: dict[str, Value] = {}
    for part in reader.list_of_tokens():
        if len(part) < 3 or part[1].text != "=":
            wrong = part[min(1, len(part) - 1)]
            raise EndOfStatement(f"{place(reader.sql, wrong.at)}: mismatched input '{wrong.text}'. Expecting: '='")
        value = part[2:]
        if value[0].says == "array":
            found[part[0].says] = tuple(token.says for token in value if token.kind == "string")
        else:
            found[part[0].says] = value[0].says
    return found


def _refuse_types(columns: object, properties: TableProperties) -> None:
    for column, kind in columns:  # type: ignore[attr-defined]
        if "with time zone" in kind:
            raise Failed("NOT_SUPPORTED", f"Invalid column type for column {column}: Unsupported Hive type: {kind}")
        precision = re.search(r"timestamp\((\d+)\)", kind)
        if precision and properties.is_iceberg and precision[1] != "6":
            raise Failed(
                "NOT_SUPPORTED",
                f'Timestamp precision ({precision[1]}) not supported for Iceberg. Use "timestamp(6)" instead.',
            )
        if precision and not properties.is_iceberg and precision[1] != "3":
            raise Failed(
                "NOT_SUPPORTED",
                f"Incorrect timestamp precision for {kind}; the configured precision is MILLISECONDS; "
                f"column name: {column}",
            )
        if properties.is_iceberg and (kind in ("tinyint", "smallint") or kind.startswith(("char(", "time("))):
            raise Failed("NOT_SUPPORTED", f"Type not supported for Iceberg: {kind}")


def _refuse_unknown_metadata(token: Token) -> None:
    if token.kind == "quoted" and "$" in token.says.strip("$"):
        suffix = token.says.rpartition("$")[2]
        if suffix not in _METADATA and not token.says.startswith("$"):
            raise Refused(f"TABLE_REDIRECTION_ERROR: Unsupported Iceberg metadata table: {token.says}")


def _refuse_double_quotes(reader: Reader) -> None:
    for token in reader:
        if token.kind == "quoted":
            raise Refused(f"{place(reader.sql, token.at)}: mismatched input '{token.text}'. Expecting: <identifier>")


def _done(_: Result) -> Text:
    return Text()


def _lines(result: Result) -> Text:
    return Text(tuple(line for row in result.rows for line in str(row[0]).splitlines()))
