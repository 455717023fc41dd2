"""DDL as Athena's Hive parser reads it, and what is asked of Trino and of the table's metadata instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from local.cloud.trino import CATALOG
from tests.athena.answers import Refused, Result, Text
from tests.athena.engine import Engine, quoted
from tests.athena.properties import KEPT, TableProperties, of_alter, of_ddl
from tests.athena.tokens import Reader, Token

_SPARED = "history.expire.min-snapshots-to-keep"

Run = Callable[[Engine], Result | Text]

_TYPES = {
    "string": "varchar", "int": "integer", "integer": "integer", "bigint": "bigint", "boolean": "boolean",
    "double": "double", "float": "real", "date": "date", "timestamp": "timestamp(6)", "binary": "varbinary",
}  # fmt: skip


def creation(engine: Engine, name: Sequence[str], properties: TableProperties, *, unless_there: bool) -> str:
    """CREATE TABLE as Trino has it, up to the columns or the query.

    :param engine: knows the database of a bare name.
    :param name: of the table.
    :param properties: its.
    :param unless_there: IF NOT EXISTS.
    """
    settings = [f"format = '{properties.format}'"]
    if properties.location:
        settings.append(f"location = {_text(properties.location)}")
    if properties.partitioning:
        settings.append(f"partitioning = array[{', '.join(_text(part) for part in properties.partitioning)}]")
    return f"create table {'if not exists ' * unless_there}{engine.named(name)} with ({', '.join(settings)})"


def session(properties: TableProperties) -> dict[str, str]:
    """What Trino has as a setting of the session instead of the table."""
    return {"compression_codec": properties.compression or "ZSTD"}


def keep(engine: Engine, name: Sequence[str], kept: Mapping[str, str]) -> None:
    """Put properties into a table's metadata.

    :param engine: has the table.
    :param name: of the table.
    :param kept: its properties.
    """
    if kept:
        with engine.table(name).transaction() as change:
            change.set_properties(dict(kept))


def create_database(reader: Reader) -> Run:
    """CREATE DATABASE."""
    unless_there = reader.take("if", "not", "exists")
    name = reader.name()[-1]
    location = ""
    while reader.here is not None:
        if reader.take("location"):
            location = f" with (location = {_text(reader.step().says)})"
        else:
            reader.step()
    there = "if not exists " if unless_there else ""
    return _one(lambda _: f"create schema {there}{quoted(CATALOG)}.{quoted(name)}{location}")


def create_table(reader: Reader, name: Sequence[str], *, unless_there: bool) -> Run:
    """CREATE TABLE (columns) [PARTITIONED BY (…)] LOCATION '…' TBLPROPERTIES (…)."""
    columns = [_column(part) for part in reader.list_of_tokens()]
    partitioning: tuple[str, ...] = ()
    location, given = "", {}
    while reader.here is not None:
        if reader.take("partitioned", "by"):
            partitioning = tuple(_transform(part) for part in reader.list_of_tokens())
        elif reader.take("location"):
            location = reader.step().says
        elif reader.take("tblproperties"):
            given = _pairs(reader)
        elif reader.take("comment"):
            reader.step()
        else:
            raise reader.unexpected("'LOCATION', 'PARTITIONED', 'TBLPROPERTIES'")

    def run(engine: Engine) -> Text:
        properties = of_ddl(given, location=location, partitioning=partitioning)
        start, _, rest = creation(engine, name, properties, unless_there=unless_there).partition(" with (")
        engine.run(f"{start} ({', '.join(columns)}) with ({rest}", **session(properties))
        keep(engine, name, properties.kept)
        return Text()

    return run


def external_table(reader: Reader, _: object) -> Any:
    """CREATE EXTERNAL TABLE: Hive's, which is not played here; and refused for Iceberg, as Athena does."""
    raise Refused("External keyword not supported for table type ICEBERG")


def alter_table(reader: Reader) -> Run:
    """ALTER TABLE, of Iceberg tables."""
    name = reader.name()
    if reader.take("add", "columns"):
        columns = [_column(part) for part in reader.list_of_tokens()]
        return _all(lambda engine: [f"alter table {engine.named(name)} add column {column}" for column in columns])
    if reader.take("drop", "column"):
        column = reader.name()[-1]
        return _one(lambda engine: f"alter table {engine.named(name)} drop column {quoted(column)}")
    if reader.take("change", "column") or reader.take("change"):
        old, new = reader.name()[-1], reader.name()[-1]
        kind = _type(_rest(reader))
        return _all(lambda engine: _change(engine.named(name), old, new, kind))
    if reader.take("rename", "to"):
        new_name = reader.name()
        return _one(lambda engine: f"alter table {engine.named(name)} rename to {engine.named(new_name)}")
    if reader.take("set", "tblproperties"):
        given = _pairs(reader)

        def run(engine: Engine) -> Text:
            keep(engine, name, of_alter(given))
            return Text()

        return run
    raise Refused("Queries of this type are not supported")


def drop_table(reader: Reader) -> Run:
    """DROP TABLE."""
    there = "if exists " if reader.take("if", "exists") else ""
    name = reader.name()
    return _one(lambda engine: f"drop table {there}{engine.named(name)}")


def drop_database(reader: Reader) -> Run:
    """DROP DATABASE."""
    there = "if exists " if reader.take("if", "exists") else ""
    name = reader.name()[-1]
    how = " cascade" if reader.take("cascade") else ""
    return _one(lambda _: f"drop schema {there}{quoted(CATALOG)}.{quoted(name)}{how}")


def optimize(reader: Reader) -> Run:
    """OPTIMIZE table REWRITE DATA USING BIN_PACK [WHERE …]."""
    name = reader.name()
    if not reader.take("rewrite", "data", "using", "bin_pack"):
        raise reader.unexpected("'REWRITE'")
    where = f" {reader.rest}" if reader.here is not None else ""
    return _one(lambda engine: f"alter table {engine.named(name)} execute optimize{where}")


def vacuum(reader: Reader) -> Run:
    """VACUUM table: snapshots and orphans older than the table's properties say, but for the newest few."""
    name = reader.name()

    def run(engine: Engine) -> Text:
        settings = engine.table(name).properties
        age = int(settings.get("vacuum_max_snapshot_age_seconds", 432_000))
        # Trino is told of an age only; how many it spares it reads from Iceberg's own property.
        keep(engine, name, {_SPARED: settings.get("vacuum_min_snapshots_to_keep", "1")})
        target = engine.named(name)
        engine.run(f"alter table {target} execute expire_snapshots(retention_threshold => '{age}s')")
        engine.run(f"alter table {target} execute remove_orphan_files(retention_threshold => '{age}s')")
        with engine.table(name).transaction() as change:
            change.remove_properties(_SPARED)
        return Text()

    return run


def show(reader: Reader) -> Run:
    """SHOW DATABASES | TABLES | VIEWS | COLUMNS | TBLPROPERTIES | CREATE TABLE | CREATE VIEW."""
    if reader.take("databases") or reader.take("schemas"):
        return lambda engine: _firsts(engine.run(f"show schemas from {CATALOG}"))
    if reader.take("tables"):
        database = _in(reader)
        return lambda engine: _firsts(engine.run(f"show tables from {CATALOG}.{quoted(database or engine.schema)}"))
    if reader.take("views"):
        database = _in(reader)
        return lambda engine: _firsts(
            engine.run(
                f"select table_name from {CATALOG}.information_schema.views "
                f"where table_schema = {_text(database or engine.schema)} order by 1"
            )
        )
    if reader.take("columns") and (reader.take("in") or reader.take("from")):
        name = reader.name()
        return lambda engine: _firsts(engine.run(f"show columns from {engine.named(name)}"))
    if reader.take("tblproperties"):
        name = reader.name()
        return lambda engine: Text(
            tuple(f"{key}\t{value}" for key, value in sorted(engine.table(name).properties.items()) if key in KEPT)
        )
    if reader.take("create", "table") or reader.take("create", "view"):
        what = "table" if "table" in reader.sql.lower().split()[:3] else "view"
        name = reader.name()
        return lambda engine: _split(engine.run(f"show create {what} {engine.named(name)}"))
    raise Refused("Queries of this type are not supported")


def describe(reader: Reader) -> Run:
    """DESCRIBE table: name and type of each column."""
    _ = reader.take("extended") or reader.take("formatted")
    name = reader.name()

    def run(engine: Engine) -> Text:
        found = engine.run(f"describe {engine.named(name)}")
        return Text(tuple(f"{row[0]!s:<20}\t{row[1]!s:<20}\t" for row in found.rows))

    return run


Kind = Literal["DML", "DDL", "UTILITY"]

#: First words → StatementType, SubstatementType, and what reads the rest.
STATEMENTS: Mapping[tuple[str, ...], tuple[Kind, str, Callable[[Reader], Run]]] = {
    ("alter", "table"): ("DDL", "ALTER_TABLE", alter_table),
    ("drop", "table"): ("DDL", "DROP_TABLE", drop_table),
    ("drop", "schema"): ("DDL", "DROP_DATABASE", drop_database),
    ("drop", "database"): ("DDL", "DROP_DATABASE", drop_database),
    ("optimize",): ("DML", "OPTIMIZE", optimize),
    ("vacuum",): ("DML", "VACUUM", vacuum),
    ("show",): ("UTILITY", "SHOW", show),
    ("describe",): ("UTILITY", "DESCRIBE", describe),
    ("desc",): ("UTILITY", "DESCRIBE", describe),
}


def _one(statement: Callable[[Engine], str]) -> Run:
    return _all(lambda engine: [statement(engine)])


def _all(asked: Callable[[Engine], Sequence[str]]) -> Run:
    def run(engine: Engine) -> Text:
        for statement in asked(engine):
            engine.run(statement)
        return Text()

    return run


def _change(table: str, old: str, new: str, kind: str) -> Sequence[str]:
    change = [f"alter table {table} alter column {quoted(old)} set data type {kind}"]
    return change if old == new else [*change, f"alter table {table} rename column {quoted(old)} to {quoted(new)}"]


def _column(part: Sequence[Token]) -> str:
    """`name type [COMMENT '…']` of a column list, as Trino has it."""
    words = [token.says for token in part]
    comment = ""
    if "comment" in words[1:]:
        at = words.index("comment", 1)
        comment = f" comment {_text(part[at + 1].says)}"
        part = part[:at]
    return f"{quoted(part[0].says.lower())} {_type(part[1:])}{comment}"


def _type(part: Sequence[Token]) -> str:
    """A type of Hive's as Trino's."""
    if not part:
        raise Refused("a column has no type")
    word, rest = part[0].says, part[1:]
    if word in ("array", "map", "struct") and rest and rest[0].text == "<" and rest[-1].text == ">":
        inner = _divided(rest[1:-1])
        if word == "struct":
            return "row(" + ", ".join(f"{quoted(one[0].says)} {_type(one[2:])}" for one in inner) + ")"
        return f"{word}({', '.join(_type(one) for one in inner)})"
    if word in ("decimal", "varchar") and rest:
        return word + "".join(token.text for token in rest)
    if rest or word not in _TYPES:
        said = " ".join(token.text for token in part)
        raise Refused(f"FAILED: ParseException cannot recognize input near '{said}' in column type")
    return _TYPES[word]


def _divided(part: Sequence[Token]) -> list[list[Token]]:
    found: list[list[Token]] = [[]]
    depth = 0
    for token in part:
        depth += (token.text in ("<", "(")) - (token.text in (">", ")"))
        if token.text == "," and depth == 0:
            found.append([])
        else:
            found[-1].append(token)
    return found


def _transform(part: Sequence[Token]) -> str:
    """`bucket(8, id)` of PARTITIONED BY; Trino has the column first."""
    words = [token.says for token in part if token.text not in ("(", ")", ",")]
    if words[0] in ("bucket", "truncate") and len(words) == 3:
        return f"{words[0]}({words[2]}, {words[1]})"
    return f"{words[0]}({words[1]})" if len(words) == 2 else words[0]


def _pairs(reader: Reader) -> dict[str, str]:
    found = {}
    for part in reader.list_of_tokens():
        if len(part) != 3 or part[1].text != "=" or {part[0].kind, part[2].kind} != {"string"}:
            raise Refused("FAILED: ParseException table properties are 'name'='value'")
        found[part[0].says] = part[2].says
    return found


def _rest(reader: Reader) -> list[Token]:
    found = []
    while reader.here is not None:
        found.append(reader.step())
    return found


def _in(reader: Reader) -> str:
    return reader.name()[-1] if reader.take("in") or reader.take("from") else ""


def _firsts(result: Result) -> Text:
    return Text(tuple(str(row[0]) for row in result.rows))


def _split(result: Result) -> Text:
    return Text(tuple(line for row in result.rows for line in str(row[0]).splitlines()))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
