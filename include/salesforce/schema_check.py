"""validate_schema: an object file against what the org shows the integration user. Reads nothing but the describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from include.config.object_file import ObjectFile
from include.salesforce.client import SalesforceClient
from include.salesforce.describe import FieldDescription, ObjectDescription, describe
from include.salesforce.read_plan import essential_fields, field_missing, twins, unreadable

Verdict = Literal["fits", "warning", "problem"]


@dataclass(frozen=True, kw_only=True)
class FieldCheck:
    """One field of the object file against the org.

    :param name: API name, as the org spells it where it has it.
    :param salesforce_type: type in the org, '' where the org does not show the field.
    :param column_type: how it is kept, '' where the org does not show the field.
    :param verdict: fits; warning: the run goes on; problem: the run fails.
    :param notes: sentences that explain the verdict.
    """

    name: str
    salesforce_type: str
    column_type: str
    verdict: Verdict
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SchemaReport:
    """An object file against the org.

    :param object: API name.
    :param org_id: 18-character id of the org that was asked.
    :param fields: every field of the object file, in its order.
    """

    object: str
    org_id: str
    fields: tuple[FieldCheck, ...]

    @property
    def fits(self) -> bool:
        """No field has a problem: a run can be made."""
        return all(field.verdict != "problem" for field in self.fields)

    def render(self) -> str:
        """The report as lines of text."""
        width = max(len(field.name) for field in self.fields)
        lines = [f"{self.object} in org {self.org_id}: {'fits' if self.fits else 'does not fit'}"]
        for field in self.fields:
            kept = f"{field.salesforce_type} → {field.column_type}" if field.salesforce_type else "not in the org"
            lines.append(f"  {field.verdict:<8} {field.name:<{width}}  {kept}")
            lines += [f"{'':<11}{note}" for note in field.notes]
        return "\n".join(lines)


def validate_schema(*, client: SalesforceClient, object_file: ObjectFile) -> SchemaReport:
    """Compare an object file with the org.

    :param client: the org.
    :param object_file: what the pipeline means to read.
    :raises ObjectMissing: when the org does not show the object at all.
    """
    description = describe(client, object_file.object)
    return SchemaReport(
        object=description.name,
        org_id=client.org_id,
        fields=tuple(_check(object_file, description, name) for name in object_file.fields),
    )


def _check(object_file: ObjectFile, description: ObjectDescription, name: str) -> FieldCheck:
    field = description.field(name)
    if field is None:
        return _check_missing(object_file, name)
    problems: list[str] = []
    if not field.readable:
        problems.append(str(unreadable(description, field)))
    if len(description.twins(field.name)) > 1:
        problems.append(str(twins(description, field)))
    if name.lower() == object_file.cursor_column and (field.type != "datetime" or not field.filterable):
        problems.append("It is the cursor, which must be a filterable datetime.")
    warnings = [*_nullability(object_file, name, field), *_values(object_file, name, field)]
    return FieldCheck(
        name=field.name,
        salesforce_type=field.type,
        column_type=field.column_type if field.readable else "unreadable",
        verdict="problem" if problems else "warning" if warnings else "fits",
        notes=(*problems, *warnings),
    )


def _check_missing(object_file: ObjectFile, name: str) -> FieldCheck:
    role = essential_fields(object_file).get(name)
    verdict: Verdict
    if role:
        verdict, note = "problem", str(field_missing(object_file, name, role))
    elif name == "IsDeleted":
        verdict, note = "fits", f"{object_file.object} has no soft delete: the column is false until absence proves it."
    else:
        verdict, note = "warning", "Renamed, deleted, or hidden from the integration user: its column stays, null."
    return FieldCheck(name=name, salesforce_type="", column_type="", verdict=verdict, notes=(note,))


def _nullability(object_file: ObjectFile, name: str, field: FieldDescription) -> list[str]:
    if name in object_file.required and field.nillable:
        return ["Required by the object file, but the org allows it to be empty: such records go to quarantine."]
    return []


def _values(object_file: ObjectFile, name: str, field: FieldDescription) -> list[str]:
    accepted = object_file.accepted_values.get(name)
    if not accepted or not field.picklist:
        return []
    notes = []
    if unlisted := [value for value in field.picklist if value not in accepted]:
        notes.append(f"The org offers values that accepted_values does not list: {', '.join(unlisted)}.")
    if unoffered := [value for value in accepted if value not in field.picklist]:
        notes.append(f"accepted_values lists values that the org no longer offers: {', '.join(unoffered)}.")
    return notes
