"""Validation: what extract staged is split into accepted rows, one an Id, and rejects with their reasons.

Everything is streamed. The staged files are read a few times instead of being held: once for the Ids, once for the
rows, and again only where Ids repeat or rows are rejected.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from include.config.object_file import ObjectFile
from include.quality.repeats import Contested, resolve_repeated_ids, shared_values
from include.quality.rules import (
    Failures,
    Taken,
    any_of,
    field_failures,
    identity_failures,
    positions,
    record_json,
    unordered,
    well_formed,
)
from include.salesforce.convert import schema_of
from include.staging import store
from include.staging.manifest import ExtractionManifest, ValidationManifest

log = logging.getLogger(__name__)

#: What a reject is staged as.
REJECT_SCHEMA = pa.schema([("id", pa.string()), ("record", pa.string()), ("reasons", pa.string())])

#: Given a staged batch, what of it is judged.
Keep = Callable[[pa.RecordBatch], pa.RecordBatch]

_PRESENT_SCHEMA = pa.schema([("id", pa.string())])
_MOST_VALUES_NAMED = 20
_MOST_VALUES_COUNTED = 10_000
_MOST_EXAMPLES = 5
#: A record that is touched while a full refresh is read is minutes ahead of the window's end, not days.
_FAR_AHEAD = timedelta(days=1)


class TooManyRejects(ValueError):
    """More of a run's records were rejected than the object file allows; nothing is published.

    :param judged: what was accepted and rejected.
    """

    def __init__(self, message: str, *, judged: ValidationManifest) -> None:
        super().__init__(message)
        self.judged = judged


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What validation found. Write the rejects to quarantine first, then call `gate`.

    :param manifest: for the tasks that follow.
    :param reject_files: URIs of Parquet with the rejects, columns of `REJECT_SCHEMA`.
    :param examples: a few Ids that were rejected.
    :param max_error_percent: the object file's limit.
    """

    manifest: ValidationManifest
    reject_files: tuple[str, ...]
    examples: tuple[str, ...]
    max_error_percent: float

    def gate(self) -> ValidationManifest:
        """The manifest, if few enough records were rejected.

        :raises TooManyRejects: naming counts, reasons, examples and the remedy.
        """
        manifest, plan = self.manifest, self.manifest.extraction.plan
        read = manifest.accepted + manifest.rejected + manifest.superseded
        if manifest.rejected * 100 <= self.max_error_percent * read:
            return manifest
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in manifest.reasons.items())
        raise TooManyRejects(
            f"{manifest.rejected:,} of {read:,} {plan.object} records ({100 * manifest.rejected / read:.1f} %) were "
            f"rejected, over the {self.max_error_percent:g} % that {plan.noun}.yml allows: {reasons}. "
            f"For example {', '.join(self.examples) or 'records without an Id'}. Nothing was published; the records "
            "and their reasons are in the quarantine table. Correct them in Salesforce, or change required, unique or "
            f"max_error_percent in {plan.noun}.yml, then clear extract and what follows it.",
            judged=manifest,
        )


def validate(
    *, extraction: ExtractionManifest, object_file: ObjectFile, staging_folder: str, keep: Keep | None = None
) -> Validation:
    """Judge a run's records.

    :param extraction: what extract staged.
    :param object_file: the rules.
    :param staging_folder: this run's own folder, emptied first; `store.run_folder(…, step="validate")`.
    :param keep: what of a staged batch is judged at all; all of it by default.
    """
    store.remove(staging_folder)
    judge = _Judge(extraction, object_file, keep)
    tally = _Tally(
        accepted_values={name.lower(): values for name, values in object_file.accepted_values.items()},
        cursor=extraction.plan.cursor,
        ahead=extraction.plan.window.end + _FAR_AHEAD,
    )
    files = store.write_parquet(
        staging_folder, (tally.accept(batch, rejects) for batch, rejects in judge.verdicts()), judge.schema, "accepted"
    )
    reject_files: list[str] = []
    present_files: list[str] = []
    if tally.rejected:
        # Judged again rather than held: a bad day can reject every record there is.
        rejects = (_reject_batch(found) for _, found in judge.verdicts())
        reject_files = store.write_parquet(staging_folder, rejects, REJECT_SCHEMA, "rejects")
        present = (_present_ids(batch) for batch in store.read_batches(reject_files, ["id"]))
        present_files = store.write_parquet(staging_folder, present, _PRESENT_SCHEMA, "present")
    spelled = {name.lower(): name for name in object_file.fields}
    manifest = ValidationManifest(
        extraction=extraction,
        files=tuple(files),
        present_files=tuple(present_files),
        accepted=tally.accepted,
        rejected=tally.rejected,
        superseded=judge.contested.superseded,
        reasons=dict(tally.reasons.most_common()),
        warnings=tuple(tally.warnings(spelled, object_file.noun)),
    )
    for warning in manifest.warnings:
        log.warning("%s: %s", object_file.object, warning)
    log.info(
        "%s: %s accepted, %s rejected, %s superseded",
        object_file.object,
        f"{manifest.accepted:,}",
        f"{manifest.rejected:,}",
        f"{manifest.superseded:,}",
    )
    return Validation(
        manifest=manifest,
        reject_files=tuple(reject_files),
        examples=tuple(tally.examples),
        max_error_percent=object_file.max_error_percent,
    )


@dataclass(frozen=True)
class _Reject:
    identity: str | None
    record: str
    kinds: tuple[str, ...]
    reasons: tuple[str, ...]


class _Judge:
    """Applies every rule to the staged rows; may be asked more than once, and then says the same."""

    def __init__(self, extraction: ExtractionManifest, object_file: ObjectFile, keep: Keep | None) -> None:
        self._keep = keep
        self._plan, self._files, self._object_file = extraction.plan, extraction.files, object_file
        self.schema = schema_of(extraction.plan, object_file)
        self.contested: Contested = resolve_repeated_ids(self._read, self._plan, self.schema)
        planned = {item.column: item.name for item in self._plan.fields}
        self._taken = [
            Taken(
                column=column,
                name=planned[column],
                first=shared_values(partial(self._one_row_an_id, column), column),
            )
            for column in (name.lower() for name in object_file.unique)
            if column != "id" and column in planned
        ]

    def verdicts(self) -> Iterator[tuple[pa.RecordBatch, list[_Reject]]]:
        """Accepted rows and rejects, batch by batch."""
        for batch in self._read(None):
            broken = identity_failures(batch, self._plan)
            unfit = any_of(broken, batch.num_rows)
            settled = pc.and_(pc.invert(unfit), pc.invert(self.contested.rows_of(batch)))
            accepted, rejects = self._judge_fields(batch.filter(settled))
            yield accepted, self._rejects(batch, broken) + rejects
        accepted, rejects = self._judge_fields(self.contested.winners)
        losers = self.contested.losers
        lost = unordered(pa.repeat(pa.scalar(True), losers.num_rows), self._plan)
        yield accepted, self._rejects(losers, [lost]) + rejects

    def _judge_fields(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[_Reject]]:
        broken = field_failures(batch, self._plan, self._object_file, self._taken)
        unfit = any_of(broken, batch.num_rows)
        return batch.filter(pc.invert(unfit)), self._rejects(batch, broken)

    def _rejects(self, batch: pa.RecordBatch, broken: list[Failures]) -> list[_Reject]:
        rejects = []
        for row in positions(any_of(broken, batch.num_rows)):
            record = batch.slice(row, 1).to_pylist()[0]
            by = [failure for failure in broken if failure.rows[row].as_py()]
            rejects.append(
                _Reject(
                    identity=record["id"],
                    record=record_json(record, self.schema.names),
                    kinds=tuple(failure.kind for failure in by),
                    reasons=tuple(failure.reason(row) for failure in by),
                )
            )
        return rejects

    def _read(self, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        batches = store.read_batches(self._files, columns, batch_rows=self._object_file.batch_size)
        return map(self._keep, batches) if self._keep else batches

    def _one_row_an_id(self, column: str) -> Iterator[pa.RecordBatch]:
        for batch in self._read(["id", column]):
            settled = pc.and_(well_formed(batch.column("id")), pc.invert(self.contested.rows_of(batch)))
            yield batch.filter(settled)
        yield self.contested.winners.select(["id", column])


def _reject_batch(rejects: list[_Reject]) -> pa.RecordBatch:
    rows = [
        {"id": reject.identity, "record": reject.record, "reasons": "; ".join(reject.reasons)} for reject in rejects
    ]
    return pa.RecordBatch.from_pylist(rows, schema=REJECT_SCHEMA)


def _present_ids(batch: pa.RecordBatch) -> pa.RecordBatch:
    ids = batch.column("id")
    return pa.RecordBatch.from_arrays([pc.unique(ids.filter(well_formed(ids)))], schema=_PRESENT_SCHEMA)


@dataclass
class _Tally:
    """Counts what went by."""

    accepted_values: dict[str, tuple[str, ...]]
    cursor: str
    ahead: datetime
    accepted: int = 0
    from_the_future: list[str] = field(default_factory=list)
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    unlisted: dict[str, Counter[str]] = field(default_factory=dict)

    def accept(self, batch: pa.RecordBatch, rejects: list[_Reject]) -> pa.RecordBatch:
        self.accepted += batch.num_rows
        self.rejected += len(rejects)
        for reject in rejects:
            self.reasons.update(reject.kinds)
            if reject.identity and len(self.examples) < _MOST_EXAMPLES:
                self.examples.append(reject.identity)
        for column, listed in self.accepted_values.items():
            self._note_values(column, batch.column(column), listed)
        ahead = pc.greater(
            batch.column(self.cursor.lower()), pa.scalar(self.ahead, batch.column(self.cursor.lower()).type)
        )
        self.from_the_future += batch.column("id").filter(ahead).to_pylist()
        return batch

    def _note_values(self, column: str, values: pa.Array, listed: tuple[str, ...]) -> None:
        counts = self.unlisted.setdefault(column, Counter())
        for pair in pc.value_counts(values.drop_null()):
            value, count = str(pair["values"].as_py()), pair["counts"].as_py()
            if value and value not in listed:
                known = value in counts or len(counts) < _MOST_VALUES_COUNTED
                counts[value if known else "(further values)"] += count

    def warnings(self, spelled: dict[str, str], noun: str) -> Iterator[str]:
        if self.from_the_future:
            yield (
                f"{len(self.from_the_future):,} record(s) have a {self.cursor} more than a day after this run's end, "
                f"{self.from_the_future[0]} for example. They count as present; their changes are logged by the first "
                "run whose window gets there. Touch these records in Salesforce to give them a date of today."
            )
        for column, counts in self.unlisted.items():
            if not counts:
                continue
            shown = ", ".join(f"{value!r:.80} ({count:,})" for value, count in counts.most_common(_MOST_VALUES_NAMED))
            more = len(counts) - _MOST_VALUES_NAMED
            yield (
                f"{spelled[column]} has {len(counts):,} value(s) that accepted_values in {noun}.yml does not list: "
                f"{shown}{f' and {more:,} more' if more > 0 else ''}"
            )
