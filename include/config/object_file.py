"""An object file: one YAML document that says how one Salesforce object is kept.

`include/objects/user.yml` is the first. Adding an object is adding a file here and its thin dbt models; nothing else
knows the name of an object.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from include.config.durations import Duration, Span
from include.config.explanation import explain
from include.config.operating import IN_WORDS, AlertRouting, Slas, TableUpkeep, Upkeep, Upsert
from include.config.plain_yaml import UnreadableYaml, read_plain_yaml
from include.config.schedule import Schedule, cron_of

#: The format of object files that this release reads. docs/decisions/0005-layout-versions.md: how a next one comes.
FORMAT_VERSION = 1

OBJECTS_FOLDER = Path(__file__).resolve().parent.parent / "objects"

#: An API name of Salesforce, optionally with a namespace prefix and a custom suffix (`Audit_Phase__c`).
API_NAME = r"^[A-Za-z][A-Za-z0-9]*(_{1,2}[A-Za-z0-9]+)*$"
ApiName = Annotated[str, StringConstraints(pattern=API_NAME, max_length=80)]
_COLUMN = r"^[a-z][a-z0-9_]*$"
ColumnName = Annotated[str, StringConstraints(pattern=_COLUMN, max_length=80)]
_IN_WORDS = {
    API_NAME: "an API name: letters, digits and single or double underscores in between, such as Audit_Phase__c",
    _COLUMN: "a column name: lower-case letters, digits and underscores, beginning with a letter",
}

_DELETED = "IsDeleted"
#: What the org itself writes with every change, or never changes: tracking it would say nothing, or everything.
_SYSTEM = ("Id", "SystemModstamp", "LastModifiedDate", "CreatedDate", _DELETED)
#: Columns that every dimension has besides the object's own.
_RESERVED = {"effective_from", "effective_to", "is_current", "_dbt_updated_at", "_scd_id"}
_SUFFIXES = ("_changes", "_quarantine", "_consumed", "_snapshot")
#: Salesforce allows 900 fields an object.
_MOST_NAMES = 1_000


_HELP = "Correct the file. include/objects/user.yml is an example; docs/configuration.md explains every key."


class ObjectFileError(ValueError):
    """An object file is wrong. The message names the file, each key, its value, and what is allowed."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExpectedRows(_Frozen):
    """How many records the object normally has; outside of it an alert is raised, nothing is refused."""

    typical: int = Field(ge=0, le=1_000_000_000_000, strict=True)
    minimum: int = Field(ge=0, le=1_000_000_000_000, strict=True)
    maximum: int = Field(ge=0, le=1_000_000_000_000, strict=True)
    alert_deviation_percent: float = Field(default=20, gt=0, le=100, strict=True)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.minimum <= self.typical <= self.maximum:
            raise ValueError(
                f"minimum <= typical <= maximum must hold, got {self.minimum}, {self.typical}, {self.maximum}"
            )
        return self


class ObjectFile(_Frozen):
    """How one Salesforce object is read, judged and kept. Defaults are those of NAMES in docs/configuration.md.

    :param version: version of this file's format; 1 is the only one so far.
    :param object: API name in Salesforce.
    :param table: name of the mirror in the raw namespace; the log, quarantine and ledger derive from it.
    :param fields: API names to read. A field that the org's describe lacks is never selected.
    :param dimension_names: API name → column name in the dimension, where it differs from the lower-cased name.
    :param required: fields that must have a value; a record without one goes to quarantine.
    :param unique: fields no two records of a run may share.
    :param tracked: fields whose change opens a version.
    :param accepted_values: field → values that are expected; others warn and pass.
    :param expected_rows: the normal number of records, if there is such a thing.
    :param cursor: field that moves with every change; SystemModstamp where the object has it, else LastModifiedDate.
    :param max_error_percent: share of a run's records that may be rejected before nothing is published, 0-100.
    :param max_volume_deviation_percent: share of the mirror that a full refresh may find gone before it refuses, 0-100.
    :param min_volume_deviation_rows: and the number of rows that must be gone for that refusal.
    :param schedule: name of a schedule (hourly, every_six_hours, daily, weekly) or a cron expression, UTC.
    :param lookback: how far before the watermark every run reads again.
    :param full_refresh_every: age of the last complete refresh at which the next run reads everything.
    :param batch_size: records held in memory at a time.
    :param bulk_from_rows: from this estimate on Bulk API 2.0 is used instead of REST.
    :param upsert: who brings a run into the raw tables, the worker or the environment's SQL engine.
    :param slas: how long after it was queued a run, and its parts, are to be done.
    :param alerts: who is told of failures and lateness.
    :param upkeep: how the object's tables are kept small.
    """

    version: Literal[1]
    object: ApiName
    table: ColumnName
    fields: tuple[ApiName, ...] = Field(min_length=1, max_length=_MOST_NAMES)
    dimension_names: dict[ApiName, ColumnName] = Field(default_factory=dict)
    required: tuple[ApiName, ...] = Field(default=("Id",), max_length=_MOST_NAMES)
    unique: tuple[ApiName, ...] = Field(default=("Id",), max_length=_MOST_NAMES)
    tracked: tuple[ApiName, ...] = Field(min_length=1, max_length=_MOST_NAMES)
    accepted_values: dict[ApiName, tuple[str, ...]] = Field(default_factory=dict)
    expected_rows: ExpectedRows | None = None
    cursor: ApiName | None = None
    max_error_percent: float = Field(default=5, ge=0, le=100, strict=True)
    max_volume_deviation_percent: float = Field(default=20, ge=0, le=100, strict=True)
    min_volume_deviation_rows: int = Field(default=100, ge=1, le=1_000_000_000, strict=True)
    schedule: Schedule = "every_six_hours"
    lookback: Duration = timedelta(hours=1)
    full_refresh_every: Span = timedelta(days=7)
    batch_size: int = Field(default=10_000, ge=1, le=1_000_000, strict=True)
    bulk_from_rows: int = Field(default=10_000, ge=0, le=1_000_000_000, strict=True)
    upsert: Upsert = Upsert()
    slas: Slas = Slas()
    alerts: AlertRouting = AlertRouting()
    upkeep: Upkeep = Upkeep()

    @model_validator(mode="before")
    @classmethod
    def _default_table(cls, data: Any) -> Any:
        if isinstance(data, dict) and "table" not in data and isinstance(data.get("object"), str):
            return {**data, "table": f"sf_{data['object'].lower()}"}
        return data

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_read(cls, value: Any) -> Any:
        if type(value) is int and value > FORMAT_VERSION:
            raise ValueError(
                f"this release reads version {FORMAT_VERSION}; upgrade the package to the release that the file was "
                f"written for, or write it in version {FORMAT_VERSION} (docs/configuration.md)"
            )
        if type(value) is not int or value != FORMAT_VERSION:
            raise ValueError(f"there is no such version; write `version: {FORMAT_VERSION}`, which this release reads")
        return value

    @field_validator("table")
    @classmethod
    def _table_leaves_room_for_the_others(cls, value: str) -> str:
        if not value.startswith("sf_") or value == "sf_" or value.endswith(_SUFFIXES):
            raise ValueError(
                f"a table begins with sf_, has a name after it, and does not end in {', '.join(_SUFFIXES)}"
            )
        return value

    @field_validator("fields", "required", "unique", "tracked")
    @classmethod
    def _no_field_twice(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[str, str] = {}
        for name in names:
            if (twin := seen.setdefault(name.lower(), name)) is not name:
                raise ValueError(f"{name} and {twin} are the same field: Salesforce does not tell case apart")
        return names

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        known = set(self.fields)
        for name in ("Id", "LastModifiedDate"):
            if name not in known:
                raise ValueError(f"fields must list {name}: the history cannot be built without it")
        named = {
            "dimension_names": self.dimension_names,
            "required": self.required,
            "unique": self.unique,
            "tracked": self.tracked,
            "accepted_values": self.accepted_values,
            "cursor": [self.cursor] if self.cursor else [],
        }
        for key, names in named.items():
            if unknown := sorted(set(names) - known):
                raise ValueError(f"{key} names {', '.join(unknown)}, which fields does not list")
        if "Id" not in self.required:
            raise ValueError(f"required must list Id, it lists {', '.join(self.required) or 'nothing'}"[:300])
        if system := sorted(set(self.tracked) & set(_SYSTEM)):
            raise ValueError(f"tracked names {', '.join(system)}, which Salesforce keeps itself: track business fields")
        if self.cursor in ("Id", "CreatedDate", _DELETED):
            raise ValueError(f"cursor is {self.cursor}, which does not move with every change")
        columns = [self.dimension_column(name) for name in self.fields]
        if reserved := sorted(set(columns) & {*_RESERVED, f"{self.noun}_key"}):
            raise ValueError(f"{', '.join(reserved)} is a column that every dimension has: choose another name")
        if twins := sorted({column for column in columns if columns.count(column) > 1}):
            raise ValueError(f"dimension_names gives {', '.join(twins)} to more than one field")
        return self

    # ------------------------------------------------------------------ derived names

    @property
    def noun(self) -> str:
        """`user` of `sf_user`: what the key columns and the DAG are named after."""
        return self.table.removeprefix("sf_")

    @property
    def dag_id(self) -> str:
        """Id of the object's DAG, `sf_user_pipeline`."""
        return f"{self.table}_pipeline"

    @property
    def dimension(self) -> str:
        """Name of the object's dimension, `dim_sf_user_scd`."""
        return f"dim_{self.table}_scd"

    @property
    def columns(self) -> tuple[str, ...]:
        """Source columns of the raw tables: the fields in order, lower-cased; isdeleted is always among them."""
        names = [name.lower() for name in self.fields]
        return tuple(names) if _DELETED.lower() in names else (*names, _DELETED.lower())

    @property
    def cron(self) -> str:
        """The schedule as a cron expression in UTC."""
        return cron_of(self.schedule)

    @property
    def cursor_column(self) -> str:
        """Lower-cased name of the column that orders an Id's observations inside a run."""
        if self.cursor:
            return self.cursor.lower()
        return "systemmodstamp" if "SystemModstamp" in self.fields else "lastmodifieddate"

    def dimension_column(self, name: str) -> str:
        """Column of the dimension that a field ends in.

        :param name: API name of a field of this object.
        """
        return self.dimension_names.get(name, name.lower())


#: Path of a mapping in the file → what may be in it.
_SECTIONS: dict[str, type[BaseModel]] = {
    "": ObjectFile,
    "expected_rows": ExpectedRows,
    "upsert": Upsert,
    "slas": Slas,
    "alerts": AlertRouting,
    "upkeep": Upkeep,
    **{f"upkeep.{name}": TableUpkeep for name, key in Upkeep.model_fields.items() if key.annotation is TableUpkeep},
}


def read_object_file(path: Path) -> ObjectFile:
    """Read and validate one object file.

    :param path: a YAML file.
    :raises ObjectFileError: naming the file, each wrong key, its value and what is allowed.
    """
    try:
        document = read_plain_yaml(path)
    except UnreadableYaml as error:
        raise ObjectFileError(f"{path.name}: {error}\n{_HELP}") from error
    if not isinstance(document, dict):
        raise ObjectFileError(
            f"{path.name}: must be a mapping of keys to values, got {type(document).__name__} "
            f"{document!r:.120}\n{_HELP}"
        )
    try:
        return ObjectFile.model_validate(document)
    except ValidationError as error:
        count, *lines = explain(
            error,
            keys=_SECTIONS,
            patterns={**_IN_WORDS, **IN_WORDS},
            missing={"version": f"write `version: {FORMAT_VERSION}`, the format that this release reads"},
            decides="version",
        )
        raise ObjectFileError("\n".join([f"{path.name}: {count}", *lines, _HELP])) from error


def read_object_files(folder: Path = OBJECTS_FOLDER) -> dict[str, ObjectFile]:
    """Every object file of a folder, by noun (`user`), sorted.

    :param folder: where the `*.yml` files are.
    :raises ObjectFileError: if one is wrong, or two of them share a table or an object.
    """
    objects: dict[str, ObjectFile] = {}
    for path in sorted(folder.glob("*.yml")):
        found = read_object_file(path)
        for other in objects.values():
            if other.table == found.table or other.object.lower() == found.object.lower():
                raise ObjectFileError(f"{path.name}: {found.object} ({found.table}) is described by another file too")
        objects[found.noun] = found
    if not objects:
        raise ObjectFileError(f"no object file (*.yml) in {folder.name}/: add one, see include/objects/user.yml")
    return objects
