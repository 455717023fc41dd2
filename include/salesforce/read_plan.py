"""The read plan: the object file × what the org describes × the window → what to select, and by which API."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import quote

from include.config.object_file import ObjectFile
from include.salesforce import soql
from include.salesforce.client import SalesforceClient
from include.salesforce.describe import FieldDescription, ObjectDescription, describe
from include.salesforce.errors import FieldMissing, UnexpectedSchema
from include.salesforce.filters import window_span
from include.salesforce.narrowing import count_records
from include.staging.manifest import Api, FieldPlan, ReadPlan, Window

log = logging.getLogger(__name__)

_DELETED = "IsDeleted"
_CREATED = "CreatedDate"
_CURSOR = "SystemModstamp"
_MODIFIED = "LastModifiedDate"

#: Salesforce accepts 16,384 bytes of URL and headers; a longer REST query would be answered with 414 or 431.
LONGEST_REST_QUERY = 12_000


def make_read_plan(
    *,
    client: SalesforceClient,
    object_file: ObjectFile,
    run_id: str,
    window: Window,
    bulk_from_rows: int | None = None,
    description: ObjectDescription | None = None,
    drift: tuple[str, ...] = (),
) -> ReadPlan:
    """Decide how to read an object's window.

    :param client: the org.
    :param object_file: what to read.
    :param run_id: Airflow's run id.
    :param window: the run's window.
    :param bulk_from_rows: from this estimate on Bulk API 2.0 is used; default: the object file's.
    :param description: what the org shows; default: it is asked.
    :param drift: what has changed in the org's schema, in words.
    :raises FieldMissing: when a required or tracked field is not there.
    :raises UnexpectedSchema: when a field is compound, a blob, or not of the type that its role needs.
    :raises ObjectMissing: when the org does not show the object.
    """
    description = description or describe(client, object_file.object)
    fields = planned_fields(object_file, description)
    absent = tuple(name for name in missing_fields(object_file, description) if name != _DELETED)
    cursor = _cursor(object_file, description)
    created = description.field(_CREATED)
    can_bound = created.name if created and created.filterable else None
    has_is_deleted = description.field(_DELETED) is not None
    planned_at = client.now
    span = window_span(window, cursor=cursor.name, created=can_bound, read_start=planned_at)
    estimate = count_records(client, object_name=description.name, span=span, include_deleted=has_is_deleted)
    query = soql.select(fields=[field.name for field in fields], object_name=description.name, where=span.where)
    threshold = object_file.bulk_from_rows if bulk_from_rows is None else bulk_from_rows
    api: Api = "bulk" if estimate >= threshold or len(quote(query)) > LONGEST_REST_QUERY else "rest"
    log.info("%s: about %s rows by %s (%s)", description.name, f"{estimate:,}", api, window.reason)
    return ReadPlan(
        noun=object_file.noun,
        object=description.name,
        org_id=client.org_id,
        run_id=run_id,
        window=window,
        fields=fields,
        absent=absent,
        drift=drift,
        has_is_deleted=has_is_deleted,
        cursor=cursor.name,
        created=can_bound,
        replicateable=description.replicateable,
        api=api,
        estimated_rows=estimate,
        planned_at=planned_at,
    )


def essential_fields(object_file: ObjectFile) -> dict[str, str]:
    """Fields without which nothing can be read → why.

    :param object_file: what to read.
    """
    reasons = dict.fromkeys(object_file.tracked, "tracked")
    reasons |= dict.fromkeys(object_file.required, "required")
    if object_file.cursor:
        reasons[object_file.cursor] = "the cursor"
    return reasons | {"Id": "required", _MODIFIED: "needed to order changes"}


def missing_fields(object_file: ObjectFile, description: ObjectDescription) -> tuple[str, ...]:
    """Fields of the object file that the org does not show, in the file's order.

    :param object_file: what to read.
    :param description: what the org shows.
    """
    return tuple(name for name in object_file.fields if description.field(name) is None)


def planned_fields(
    object_file: ObjectFile,
    description: ObjectDescription,
    *,
    hint: Callable[[str], str] | None = None,
) -> tuple[FieldPlan, ...]:
    """What to select, as the org spells it. IsDeleted is selected wherever the org has it, listed or not.

    :param object_file: what to read.
    :param description: what the org shows.
    :param hint: what is known of a missing field's whereabouts, a sentence or nothing.
    :raises FieldMissing: when a required or tracked field is not there.
    :raises UnexpectedSchema: when a field cannot be read as one value, or not told apart from another.
    """
    essential = essential_fields(object_file)
    for name in missing_fields(object_file, description):
        if name in essential:
            raise field_missing(object_file, name, essential[name], hint=hint(name) if hint else "")
    names = dict.fromkeys((*object_file.fields, _DELETED))
    found = [field for name in names if (field := description.field(name)) is not None]
    for field in found:
        if not field.readable:
            raise unreadable(description, field)
        if len(description.twins(field.name)) > 1:
            raise twins(description, field)
    return tuple(
        FieldPlan(
            name=field.name,
            column=field.name.lower(),
            salesforce_type=field.type,
            column_type=field.column_type,
        )
        for field in found
    )


def field_missing(object_file: ObjectFile, name: str, role: str, *, hint: str = "") -> FieldMissing:
    """The error for a field that must be there, with its likely cause.

    :param object_file: what to read.
    :param name: API name of the field.
    :param role: what it is needed for.
    :param hint: what is known of its whereabouts, a sentence or nothing.
    """
    said = f"{object_file.object}.{name} ({role}) is not in the org's describe of {object_file.object}."
    return FieldMissing(
        f"{said} {hint}".rstrip(),
        remedy=(
            "Either it was renamed or deleted (Setup > Object Manager): then change the object file "
            f"({object_file.noun}.yml). Or the integration user may not see it: grant Read on the field in that "
            "user's permission set (Setup > Permission Sets > Object Settings > "
            f"{object_file.object} > Field Permissions) or profile."
        ),
    )


def unreadable(description: ObjectDescription, field: FieldDescription) -> UnexpectedSchema:
    """The error for a field that has no single value.

    :param description: the object.
    :param field: a compound field or a blob.
    """
    parts = ", ".join(description.components(field.name))
    remedy = "Remove it from the object file" + (f" and list what it is made of: {parts}." if parts else ".")
    return UnexpectedSchema(
        f"{description.name}.{field.name} is of type {field.type}, which has no single value and which Bulk refuses.",
        remedy=remedy,
    )


def twins(description: ObjectDescription, field: FieldDescription) -> UnexpectedSchema:
    """The error for a field that another one differs from in case only.

    :param description: the object.
    :param field: one of them.
    """
    names = " and ".join(f"{description.name}.{name}" for name in description.twins(field.name))
    return UnexpectedSchema(
        f"{names} differ only in case: in the lake they would be one column ({field.name.lower()}).",
        remedy="Rename one of them in Salesforce, or take the field out of the object file.",
    )


def _cursor(object_file: ObjectFile, description: ObjectDescription) -> FieldDescription:
    wanted = object_file.cursor or (_CURSOR if _CURSOR in object_file.fields else _MODIFIED)
    field = description.field(wanted) or description.field(_MODIFIED)
    if field is None:
        raise field_missing(object_file, _MODIFIED, "the cursor")
    if field.type != "datetime" or not field.filterable:
        raise UnexpectedSchema(
            f"{description.name}.{field.name} cannot be the cursor: it is of type {field.type}"
            f"{'' if field.filterable else ' and cannot be filtered by'}.",
            remedy="Set cursor in the object file to a filterable datetime that moves with every change.",
        )
    return field
