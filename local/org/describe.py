"""Salesforce's describe answers, built from the schema."""

from __future__ import annotations

from typing import Any

from local.org.schema import ID_TYPES, Field, SObject

_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "long": "xsd:long",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
    "location": "urn:location",
    "base64": "xsd:base64Binary",
}
_SYSTEM = frozenset(
    {"CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp", "IsDeleted"}
)


def describe_field(item: Field) -> dict[str, Any]:
    """Return a field as describe lists it.

    :param item: the field.
    """
    writable = not (item.type == "id" or item.is_compound or item.calculated or item.name in _SYSTEM)
    scale = 2 if item.type in ("currency", "percent") else (6 if item.type == "double" else 0)
    return {
        "aggregatable": item.aggregatable,
        "autoNumber": False,
        "byteLength": item.length if item.type in ID_TYPES else item.length * 3,
        "calculated": item.calculated,
        "calculatedFormula": None,
        "caseSensitive": False,
        "compoundFieldName": item.compound_field_name,
        "createable": writable,
        "custom": item.custom,
        "defaultValue": item.default_value,
        "defaultedOnCreate": item.type == "boolean" or item.name in _SYSTEM or item.type == "id",
        "deprecatedAndHidden": False,
        "digits": 8 if item.type == "int" else 0,
        "externalId": False,
        "extraTypeInfo": None,
        "filterable": item.filterable,
        "groupable": item.groupable,
        "idLookup": item.type == "id",
        "label": item.label,
        "length": item.length,
        "name": item.name,
        "nameField": item.name == "Name",
        "nillable": item.nillable,
        "permissionable": item.custom,
        "picklistValues": [
            {
                "active": True,
                "defaultValue": value == item.default_value,
                "label": value,
                "validFor": None,
                "value": value,
            }
            for value in item.picklist_values
        ],
        "polymorphicForeignKey": len(item.reference_to) > 1,
        "precision": 18 if item.type in ("double", "currency", "percent") else 0,
        "referenceTo": list(item.reference_to),
        "relationshipName": item.relationship_name,
        "restrictedPicklist": False,
        "scale": scale,
        "soapType": _SOAP.get(item.type, "xsd:string"),
        "sortable": item.sortable,
        "type": item.type,
        "unique": item.name == "Username",
        "updateable": writable,
    }


def describe_object(sobject: SObject, *, version: str) -> dict[str, Any]:
    """Return an object as the global describe lists it.

    :param sobject: the object.
    :param version: the API version of the request, e.g. ``59.0``.
    """
    deletable = sobject.field("IsDeleted") is not None
    base = f"/services/data/v{version}/sobjects/{sobject.name}"
    return {
        "activateable": False,
        "createable": True,
        "custom": sobject.name.endswith("__c"),
        "customSetting": False,
        "deletable": deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": True,
        "hasSubtypes": False,
        "isSubtype": False,
        "keyPrefix": sobject.key_prefix,
        "label": sobject.label,
        "labelPlural": sobject.label_plural,
        "layoutable": True,
        "mergeable": deletable,
        "mruEnabled": True,
        "name": sobject.name,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "undeletable": deletable,
        "updateable": True,
        "urls": {"rowTemplate": f"{base}/{{ID}}", "describe": f"{base}/describe", "sobject": base},
    }


def describe_all(sobject: SObject, *, version: str) -> dict[str, Any]:
    """Return the answer to ``/sobjects/X/describe``.

    :param sobject: the object as the user sees it.
    :param version: the API version of the request.
    """
    answer = describe_object(sobject, version=version)
    answer["childRelationships"] = []
    answer["recordTypeInfos"] = []
    answer["fields"] = [describe_field(item) for item in sobject.fields]
    return answer
