"""Judging the records of the quarantine anew: by the rules of validate, under the object file as it is now.

What a record is held against are the other records of the quarantine and the mirror, because the rest of its run is not
kept: a value that should be unique and that a live record of another Id holds now, or another record of the quarantine
has too, refuses it. Nobody can say who should have it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from include.config.object_file import ObjectFile
from include.lake.data_files import keyed_files, read_file
from include.lake.names import RawTables
from include.lake.schema_growth import UNSEEN
from include.lake.tables import ICEBERG_TYPES
from include.lake.watermark import LakeState
from include.quality.quarantine_table import Origin, read_quarantine
from include.quality.rules import Taken, any_of, field_failures, identity_failures, unordered, was_unordered
from include.salesforce.convert import from_json, schema_of
from include.salesforce.errors import UnexpectedSchema
from include.staging.manifest import FieldPlan, ReadPlan, Window

_DELETED = "IsDeleted"
_BY_TYPE = {kind: name for name, kind in ICEBERG_TYPES.items()}
_NO_LAYOUT = (
    "made before layout version 2 of the table, which keeps where a record came from. Mend it in Salesforce, or clear "
    "validate of its run if that run's staged files are still there"
)
_NOT_LOADED = "the object was never loaded: the first load reads every record as it is by then"
#: What a stored record that does not fit its columns (any more) is met by.
_UNREADABLE = (ValueError, KeyError, TypeError, UnexpectedSchema)


#: How the batch of a replayed record is called, before its run's id. The dbt project knows the word: a batch of its own
#: is consumed by itself, though the run's other records have been for long.
REPLAYED = "replayed "


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be said of one row of the quarantine now.

    :param outcome: `replayed` before; `accepted` by the present rules; `refused` by them; or `unplaceable`, because
        it cannot be put back whatever the rules are.
    :param why: the reasons of a row that is refused or unplaceable, in words.
    """

    outcome: Literal["replayed", "accepted", "refused", "unplaceable"]
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Records of one batch that the present rules accept.

    :param plan: by which the batch would be read now: its own run, and a window that moves no watermark.
    :param origin: where they came from.
    :param records: staged rows.
    :param numbers: which rows of the part they are.
    """

    plan: ReadPlan
    origin: Origin
    records: pa.RecordBatch
    numbers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some rows of the quarantine, judged.

    :param rows: as they are in the table.
    :param verdicts: one a row.
    :param accepted: by batch.
    """

    rows: pa.Table
    verdicts: tuple[Verdict, ...]
    accepted: tuple[Accepted, ...]


class Rejudgement:
    """Judges a quarantine, part by part; may be asked more than once.

    Memory: one part, and the values of unique fields of the records that the other rules accept.

    :param quarantine: the loaded table.
    :param catalog: the Iceberg catalog.
    :param tables: the object's tables.
    :param object_file: the rules.
    """

    def __init__(self, *, quarantine: Table, catalog: Catalog, tables: RawTables, object_file: ObjectFile) -> None:
        self._quarantine, self._object_file = quarantine, object_file
        self._mirror = _mirror(catalog, tables.mirror)
        self._state = LakeState.of(self._mirror) if self._mirror else LakeState()
        self._types = _types(self._mirror) if self._mirror else {}
        self._spelled = {name.lower(): name for name in (*object_file.fields, _DELETED)}
        self._taken: tuple[Taken, ...] = ()
        self._taken = tuple(self._find_taken())

    def parts(self) -> Iterator[Part]:
        """Every row of the quarantine with its verdict."""
        for rows in read_quarantine(self._quarantine, batch_rows=self._object_file.batch_size):
            yield self._judge(rows)

    def _judge(self, rows: pa.Table) -> Part:
        verdicts = [Verdict(outcome="replayed")] * rows.num_rows
        accepted = []
        for origin, numbers in _by_origin(rows).items():
            if why := self._unplaceable(origin):
                for number in numbers:
                    verdicts[number] = Verdict(outcome="unplaceable", why=why)
                continue
            assert isinstance(origin, Origin)  # noqa: S101  (what is none is unplaceable)
            plan = self._plan(origin)
            readable, records, broken = self._read(rows, numbers, plan)
            for number, problem in broken.items():
                verdicts[number] = Verdict(outcome="unplaceable", why=problem)
            reasons = self._reasons(
                records, [rows.column("reasons")[number].as_py() or "" for number in readable], plan
            )
            for number, why in zip(readable, reasons, strict=True):
                verdicts[number] = Verdict(outcome="refused" if why else "accepted", why=why)
            fit = pa.array([not why for why in reasons], pa.bool_())
            if chosen := tuple(number for number, why in zip(readable, reasons, strict=True) if not why):
                accepted.append(Accepted(plan=plan, origin=origin, records=records.filter(fit), numbers=chosen))
        return Part(rows=rows, verdicts=tuple(verdicts), accepted=tuple(accepted))

    def _unplaceable(self, origin: Origin | None) -> str:
        if origin is None:
            return _NO_LAYOUT
        if self._mirror is None or self._state.watermark is None:
            return _NOT_LOADED
        if self._state.org_id is not None and origin.org_id != self._state.org_id:
            return f"read from org {origin.org_id}, but the lake holds the history of org {self._state.org_id}"
        if lacking := [self._spelled[name] for name in self._observed(origin) if name not in self._types]:
            return f"{', '.join(lacking)} has no column in the mirror yet: replay it again after the next run"
        return ""

    def _observed(self, origin: Origin) -> list[str]:
        """What the batch had read of the fields that the object file lists now."""
        seen = set(origin.observed_columns.split(","))
        return [name for name in self._object_file.columns if name in seen]

    def _plan(self, origin: Origin) -> ReadPlan:
        observed = self._observed(origin)
        cursor = self._object_file.cursor_column
        end = origin.window_end.astimezone(UTC)
        return ReadPlan(
            noun=self._object_file.noun,
            object=self._object_file.object,
            org_id=origin.org_id,
            run_id=f"{REPLAYED}{origin.run_id}",
            # It starts where it ends: a watermark before that leaves a gap, and any other is past it already.
            window=Window(start=end, end=end, kind="manual", full_refresh=False, reason="replay of the quarantine"),
            fields=tuple(
                FieldPlan(name=self._spelled[name], column=name, salesforce_type="", column_type=self._types[name])
                for name in observed
            ),
            has_is_deleted=_DELETED in self._object_file.fields,
            cursor=self._spelled[cursor if cursor in observed else "lastmodifieddate"],
            api="rest",
            estimated_rows=0,
            planned_at=origin.extracted_at.astimezone(UTC),
        )

    def _read(
        self, rows: pa.Table, numbers: Sequence[int], plan: ReadPlan
    ) -> tuple[list[int], pa.RecordBatch, dict[int, str]]:
        """The rows that can be read, their records as they would have been staged, and what is wrong with the rest."""
        schema = schema_of(plan, self._object_file)
        texts = [rows.column("record")[number].as_py() for number in numbers]
        try:
            return list(numbers), from_json([_parsed(text, plan) for text in texts], plan=plan, schema=schema), {}
        except _UNREADABLE:
            pass
        readable: list[int] = []
        batches = [pa.RecordBatch.from_pylist([], schema)]
        broken: dict[int, str] = {}
        for number, text in zip(numbers, texts, strict=True):
            try:
                batches.append(from_json([_parsed(text, plan)], plan=plan, schema=schema))
                readable.append(number)
            except _UNREADABLE as error:
                broken[number] = f"the stored record does not fit the columns as they are now: {error}"
        return readable, pa.concat_batches(batches), broken

    def _reasons(self, records: pa.RecordBatch, before: Sequence[str], plan: ReadPlan) -> list[str]:
        """Why the present rules refuse each record; nothing: they accept it."""
        broken = identity_failures(records, plan)
        broken.append(unordered(pa.array([was_unordered(reasons) for reasons in before], pa.bool_()), plan))
        broken += field_failures(records, plan, self._object_file, self._taken)
        unfit = any_of(broken, records.num_rows).to_pylist()
        return [
            "; ".join(failure.reason(row) for failure in broken if failure.rows[row].as_py()) if unfit[row] else ""
            for row in range(records.num_rows)
        ]

    def _find_taken(self) -> Iterator[Taken]:
        unique = [name.lower() for name in self._object_file.unique if name.lower() in self._types and name != "Id"]
        if not unique or self._mirror is None:
            return
        holders: dict[str, dict[Any, tuple[str, str]]] = {column: {} for column in unique}
        for part in self.parts():
            for accepted in part.accepted:
                for column, held in holders.items():
                    _note(held, accepted.records.column("id"), accepted.records.column(column))
        if not any(holders.values()):
            return
        for file in keyed_files(self._mirror):
            rows = read_file(self._mirror, file, ["id", "isdeleted", *unique])
            rows = rows.filter(pc.invert(rows.column("isdeleted").fill_null(False)))
            for column, held in holders.items():
                values = rows.column(column)
                wanted = pc.is_in(values, value_set=pa.array(list(held), values.type))
                _note(held, rows.column("id").filter(wanted), values.filter(wanted))
        for column, held in holders.items():
            several = {value: ids for value, ids in held.items() if ids[0] != ids[1]}
            yield Taken(
                column=column,
                name=self._spelled[column],
                first={value: ids[0] for value, ids in several.items()},
                last={value: ids[1] for value, ids in several.items()},
            )


def _parsed(text: str, plan: ReadPlan) -> dict[str, Any]:
    """A stored record as Salesforce would send it."""
    stored = json.loads(text)
    return {field.name: stored[field.column] for field in plan.fields}


def _note(
    held: dict[Any, tuple[str, str]], ids: pa.Array | pa.ChunkedArray, values: pa.Array | pa.ChunkedArray
) -> None:
    for identity, value in zip(ids.to_pylist(), values.to_pylist(), strict=True):
        if value not in (None, ""):
            smallest, greatest = held.get(value, (identity, identity))
            held[value] = min(smallest, identity), max(greatest, identity)


def _by_origin(rows: pa.Table) -> dict[Origin | None, list[int]]:
    """Numbers of the rows that were not replayed, by where they came from; None: nobody knows."""
    found: dict[Origin | None, list[int]] = defaultdict(list)
    columns = ("_extraction_run_id", "_extracted_at", "_window_end", "_observed_columns", "_org_id", "_replayed_at")
    for number, row in enumerate(rows.select(columns).to_pylist()):
        run_id, extracted_at, window_end, observed, org_id, replayed_at = row.values()
        if replayed_at is not None:
            continue
        origin = None
        if None not in (run_id, extracted_at, window_end, observed, org_id):
            origin = Origin(
                run_id=run_id,
                extracted_at=extracted_at,
                window_end=window_end,
                observed_columns=observed,
                org_id=org_id,
            )
        found[origin].append(number)
    return found


def _mirror(catalog: Catalog, identifier: str) -> Table | None:
    try:
        return catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def _types(mirror: Table) -> dict[str, str]:
    """Column → column type, of the columns whose type is known."""
    return {
        field.name: _BY_TYPE[field.field_type]
        for field in mirror.schema().fields
        if field.doc != UNSEEN and field.field_type in _BY_TYPE
    }
