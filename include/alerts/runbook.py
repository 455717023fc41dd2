"""Which section of docs/runbook.md is about which error. The runbook is not deployed with the code, so it is said here.

tests/test_runbook.py holds both together.
"""

from __future__ import annotations

import re

#: Headings that name error classes, as they are in the runbook.
HEADINGS = (
    "ChannelWithoutAddress",
    "ConnectionIncomplete",
    "CredentialsRefused",
    "SessionLost",
    "PermissionMissing, ObjectMissing",
    "FieldMissing",
    "UnexpectedSchema",
    "IncompatibleColumn",
    "QueryRefused",
    "ApiReserveReached, ApiLimitReached",
    "SourceUnavailable, QueryCursorLost",
    "QueryTooSlow",
    "BulkJobFailed",
    "IncompleteRead",
    "WindowRefused, ParamRefused",
    "ForeignOrg, WrongOrg",
    "LayoutTooNew",
    "NamespaceUnfit",
    "AwsRefused",
    "ManifestMissing, UnknownEnvironment",
    "ObjectFileError",
    "TooManyRejects",
    "SuspiciousRead",
    "UpsertContended",
    "EngineFailed",
    "RepeatedIds",
    "InvalidIds, HistoryHeld, UnknownOrg",
    "StagedFilesGone",
    "ErasureContended",
    "UpkeepRefused",
)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading.

    :param heading: without its leading signs.
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


#: Error class → anchor of its section.
SECTIONS = {name: slug(heading) for heading in HEADINGS for name in heading.split(", ")}
