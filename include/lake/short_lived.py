"""Tables that live as long as an upsert by an engine: what they are called, and how left-over ones go.

`<table>__draft_…`, `__incoming_…`, `__gone_…` and `__deletions_…` are entries in the catalog beside the table. They go
at the end of the attempt; a killed process leaves them. Whoever looks at all tables passes over them by their names:
their files may be gone already, and a draft's folder is inside the table's own.
"""

from __future__ import annotations

import logging
import re
import uuid
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from include.staging.lifetime import LONGEST_RUN

log = logging.getLogger(__name__)

_TIME = "%Y%m%d%H%M%S"
_NAME = re.compile(r"(?P<of>.+)__[a-z]+_(?P<made>[0-9]{14})_[0-9a-f]{8}")


def short_lived_name(identifier: str, what: str) -> str:
    """A name for a table that lives as long as an upsert; it tells when it was made.

    :param identifier: `namespace.table` of the table that it is about.
    :param what: what it is, in lower-case letters.
    """
    return f"{identifier}__{what}_{datetime.now(UTC).strftime(_TIME)}_{uuid.uuid4().hex[:8]}"


def is_short_lived(name: str) -> bool:
    """Whether a table lives as long as an upsert.

    :param name: of the table, with or without its namespace.
    """
    return _NAME.fullmatch(name) is not None


def drop_leftovers(catalog: Catalog, identifier: str, *, now: datetime) -> list[str]:
    """Drop what upserts that were killed have left in the catalog. No file is touched: upkeep removes those.

    :param catalog: the Iceberg catalog.
    :param identifier: `namespace.table` that the short-lived ones were about.
    :param now: the time; what is younger than the longest run may be at work.
    :return: the names of those dropped.
    """
    namespace = identifier.partition(".")[0]
    dropped: list[str] = []
    if not catalog.namespace_exists(namespace):
        return dropped
    for found in catalog.list_tables(namespace):
        name = f"{namespace}.{found[-1]}"
        told = _NAME.fullmatch(name)
        if told is None or told["of"] != identifier:
            continue
        if datetime.strptime(told["made"], _TIME).replace(tzinfo=UTC) < now - LONGEST_RUN:
            try:
                catalog.drop_table(name)
            except NoSuchTableError:  # somebody else was faster
                continue
            dropped.append(name)
    if dropped:
        log.info("%s: an upsert that was killed has left %s; dropped", identifier, ", ".join(dropped))
    return dropped
