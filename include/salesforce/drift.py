"""Schema drift in words: what has changed in an object's fields since the last look, and what that means here.

Pure functions over two memories of the same object, before and after a describe. A memory maps lower-cased API names
to `KnownField`, because the lake cannot tell two fields apart that differ only in case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from include.config.object_file import ObjectFile
from include.salesforce.describe import FieldDescription, ObjectDescription
from include.salesforce.read_plan import essential_fields, missing_fields
from include.staging.columns import UNREADABLE_TYPES, column_type
from include.staging.known_field import KnownField

Memory = Mapping[str, KnownField]

_DELETED = "IsDeleted"
_MOST_NAMED = 20


def memory_after(
    before: Memory, *, description: ObjectDescription, object_file: ObjectFile, at: datetime
) -> dict[str, KnownField]:
    """What is known of an object's fields after a look at them.

    :param before: what was known; empty at the first look.
    :param description: what the org shows now.
    :param object_file: names the fields that are missed where the org does not show them.
    :param at: the time of the look.
    """
    after = dict(before)
    shown: dict[str, FieldDescription] = {}
    for field in description.fields:
        shown.setdefault(field.name.lower(), field)
    for key, field in shown.items():
        known = before.get(key)
        if known is None:
            after[key] = KnownField(
                field=field.name,
                salesforce_type=field.type,
                state="there",
                first_seen=at if before else None,
                last_changed=at,
            )
        elif (known.state, known.salesforce_type) != ("there", field.type):
            after[key] = replace(
                known,
                field=field.name,
                salesforce_type=field.type,
                state="there",
                first_seen=known.first_seen if known.salesforce_type else at,
                last_changed=at,
            )
    for key, known in before.items():
        if known.state == "there" and key not in shown:
            after[key] = replace(known, state="gone", last_changed=at)
    for name in missing_fields(object_file, description):
        if name != _DELETED and name.lower() not in after:
            after[name.lower()] = KnownField(
                field=name, salesforce_type="", state="gone", first_seen=None, last_changed=at
            )
    return after


def successors(memory: Memory, name: str) -> tuple[str, ...]:
    """Fields that a field may have been renamed to: they appeared when it vanished, with the same type.

    :param memory: what is known.
    :param name: API name of a field, in any case.
    """
    gone = memory.get(name.lower())
    if gone is None or gone.state != "gone" or not gone.salesforce_type:
        return ()
    return tuple(
        known.field
        for known in memory.values()
        if known.state == "there"
        and known.first_seen == gone.last_changed
        and known.salesforce_type == gone.salesforce_type
    )


def drift(
    *, object_file: ObjectFile, before: Memory, after: Memory, newly_listed: Collection[str] = ()
) -> tuple[str, ...]:
    """What has changed between two looks, one sentence or two a change. The first look finds no changes.

    A vanished field without which nothing can be read is not told here: its error says so on every run.

    :param object_file: whose fields matter.
    :param before: what was known.
    :param after: what is known now.
    :param newly_listed: API names that the object file lists and the mirror, which has rows, lacks.
    """
    listed = {name.lower(): name for name in object_file.fields}
    return (
        *_appeared(object_file, before, after, listed),
        *_missing(object_file, before, after, newly_listed),
        *_vanished_unlisted(object_file, before, after, listed),
        *_returned(object_file, before, after, listed),
        *_retyped(object_file, before, after, listed),
    )


def backfill_notice(object_file: ObjectFile, names: Collection[str], *, last_full_refresh: datetime | None) -> str:
    """What becomes of fields that are read for the first time although the lake has records.

    :param object_file: lists them.
    :param names: their API names.
    :param last_full_refresh: window end of the last complete refresh.
    """
    fields = ", ".join(f"{object_file.object}.{name}" for name in names)
    due = "the next scheduled run"
    if last_full_refresh is not None:
        due = f"due from {last_full_refresh + object_file.full_refresh_every:%Y-%m-%d %H:%M} UTC"
    return (
        f"{fields}: new in {object_file.noun}.yml. Records that do not change meanwhile have it unknown (null) until "
        f"the next full refresh, {due}; a run with the Param full_refresh fills it now."
    )


def _appeared(object_file: ObjectFile, before: Memory, after: Memory, listed: Collection[str]) -> Iterator[str]:
    new = [known for key, known in after.items() if before and key not in before and key not in listed]
    if new:
        yield (
            f"{object_file.object} has fields that it did not have before: {_named(new)}. {object_file.noun}.yml does "
            "not list them, so they are not read. List those whose history is to be kept."
        )


def _missing(object_file: ObjectFile, before: Memory, after: Memory, newly_listed: Collection[str]) -> Iterator[str]:
    essential = {name.lower() for name in essential_fields(object_file)}
    for name in object_file.fields:
        key = name.lower()
        now, then = after.get(key), before.get(key)
        if now is None or now.state == "there" or key in essential:
            continue
        if then is None or name in newly_listed:
            yield (
                f"{object_file.object}.{name} is listed in {object_file.noun}.yml, but the org does not show it. "
                f"{_granting(object_file)}; until then its column is null."
            )
        elif then.state == "there":
            yield (
                f"{object_file.object}.{name} ({then.salesforce_type}) is no longer shown by the org: deleted, "
                "renamed, or hidden from the integration user. Its column stays, null for what is read meanwhile. "
                f"{_granting(object_file)}.{_renamed(after, name)}"
            )


def _vanished_unlisted(
    object_file: ObjectFile, before: Memory, after: Memory, listed: Collection[str]
) -> Iterator[str]:
    gone = [
        known for key, known in before.items() if key not in listed and (known.state, after[key].state) == _VANISHED
    ]
    if gone:
        hints = "".join(_renamed(after, known.field) for known in gone)
        yield (
            f"{object_file.object} no longer shows {_named(gone)}. {object_file.noun}.yml does not list it: "
            f"nothing changes here.{hints}"
        )


def _returned(object_file: ObjectFile, before: Memory, after: Memory, listed: Mapping[str, str]) -> Iterator[str]:
    essential = {name.lower(): role for name, role in essential_fields(object_file).items()}
    for key in listed:
        then = before.get(key)
        if then is None or (then.state, after[key].state) != _RETURNED:
            continue
        again = "again" if then.salesforce_type else "now"
        start = f"{object_file.object}.{listed[key]} is shown by the org {again}"
        if key in essential:
            yield f"{start} ({essential[key]}): runs go on from the watermark, and nothing is missing."
        else:
            yield (
                f"{start}, and read from this run on. What was read meanwhile has it null until the record changes or "
                "the next full refresh (Param full_refresh)."
            )


def _retyped(object_file: ObjectFile, before: Memory, after: Memory, listed: Mapping[str, str]) -> Iterator[str]:
    for key in listed:
        then = before.get(key)
        if then is None or not then.salesforce_type or after[key].salesforce_type == then.salesforce_type:
            continue
        now = after[key]
        kept = column_type(now.salesforce_type)
        if now.salesforce_type in UNREADABLE_TYPES:
            meaning = "it has no single value any more."
        elif kept == column_type(then.salesforce_type):
            meaning = f"its column stays {kept}, and nothing is lost."
        else:
            meaning = f"it would be kept as {kept} instead of {column_type(then.salesforce_type)}."
        yield (
            f"{object_file.object}.{listed[key]} was of type {then.salesforce_type} and is of type "
            f"{now.salesforce_type} now: {meaning}"
        )


_VANISHED = ("there", "gone")
_RETURNED = ("gone", "there")


def _granting(object_file: ObjectFile) -> str:
    return (
        "Grant the integration user Read on it (Setup > Permission Sets > Object Settings > "
        f"{object_file.object} > Field Permissions), or take it out of {object_file.noun}.yml"
    )


def _renamed(memory: Memory, name: str) -> str:
    names = successors(memory, name)
    return f" {name} was probably renamed: {renamed_to(names)}." if names else ""


def renamed_to(names: Collection[str]) -> str:
    """How a probable new name is told.

    :param names: see `successors`; at least one.
    """
    return f"{', '.join(names)} appeared at the same time with the same type"


def _named(fields: Iterable[KnownField]) -> str:
    names = [f"{known.field} ({known.salesforce_type})" for known in fields]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
