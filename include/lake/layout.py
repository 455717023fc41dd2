"""The layout of the tables that Python makes: its version, and how an older table is brought up to it.

Every such table says which layout it has in a table property; one without it was made by the first release. A step from
one version to the next is one Iceberg commit, columns and version together: a crash leaves a table of either version,
and whoever comes second finds nothing to do. Steps are history: they name what was added then, whatever is there now.
docs/decisions/0005-layout-versions.md says how to add one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Literal

import tenacity
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError, ValidationException
from pyiceberg.table import Table, Transaction
from pyiceberg.types import DoubleType, IcebergType, LongType, StringType, TimestamptzType

from include.lake.unmoved_properties import AssertProperties

log = logging.getLogger(__name__)

#: What a table is for; it decides what a step does to it.
Role = Literal[
    "mirror", "changes", "quarantine", "ledger", "runs", "known_fields", "erasures", "alerts", "table_sizes", "upkeep"
]

LAYOUT_VERSION = "sf-history.layout-version"
#: The layout that this release writes.
CURRENT = 3
#: The layout of a table that says nothing.
_FIRST = 1

#: Version → role → columns that came with it.
_CAME_WITH: Mapping[int, Mapping[Role, Mapping[str, IcebergType]]] = {
    2: {
        "quarantine": {
            "_extracted_at": TimestamptzType(),
            "_window_end": TimestamptzType(),
            "_observed_columns": StringType(),
            "_org_id": StringType(),
            "_replayed_at": TimestamptzType(),
        },
        "ledger": {"content": LongType()},
    },
    3: {
        "runs": {
            "started_at": TimestamptzType(),
            "finished_at": TimestamptzType(),
            "ingestion_seconds": DoubleType(),
            "dbt_seconds": DoubleType(),
            "run_seconds": DoubleType(),
            "live_records": LongType(),
            "dbt_tests": LongType(),
            "dbt_tests_failed": LongType(),
            "dbt_tests_warned": LongType(),
            "failed_tests": StringType(),
            "warned_tests": StringType(),
            "quality_score": DoubleType(),
            "scd_success_rate": DoubleType(),
            "api_usage_percent": DoubleType(),
            "freshness_seconds": DoubleType(),
            "anomalies": StringType(),
            "error": StringType(),
        },
    },
}

#: What a new table is made with.
NEW_TABLE = {LAYOUT_VERSION: str(CURRENT)}

_MOST_ATTEMPTS = 8


class LayoutTooNew(RuntimeError):
    """A table has a layout that this release does not know."""


def layout_of(table: Table) -> int:
    """The version of a table's layout.

    :param table: the loaded table.
    :raises LayoutTooNew: naming the table, both versions and the remedy.
    """
    said = table.properties.get(LAYOUT_VERSION, str(_FIRST))
    version = int(said) if said.isdecimal() else 0
    if not _FIRST <= version <= CURRENT:
        raise LayoutTooNew(
            f"{'.'.join(table.name())} has layout version {said}, but this release knows versions {_FIRST} to "
            f"{CURRENT}: another release of the package has changed the table. Nothing was read or written. Deploy "
            f"that release, or a later one, here too. If nobody upgraded, the table property {LAYOUT_VERSION} was "
            "changed by hand: set it back."
        )
    return version


def refuse_unknown_layouts(catalog: Catalog, identifiers: Iterable[str]) -> None:
    """Find out before anything is read whether a run could write its tables.

    :param catalog: the Iceberg catalog.
    :param identifiers: tables (`namespace.table`); those that are not there yet are fine.
    :raises LayoutTooNew: for the first that it could not write.
    """
    for identifier in identifiers:
        try:
            layout_of(catalog.load_table(identifier))
        except (NoSuchTableError, NoSuchNamespaceError):
            continue


@tenacity.retry(
    retry=tenacity.retry_if_exception_type((CommitFailedException, ValidationException)),
    stop=tenacity.stop_after_attempt(_MOST_ATTEMPTS),
    wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
    before_sleep=lambda state: state.args[0].refresh(),
    reraise=True,
)
def bring_up_to_date(table: Table, role: Role) -> Table:
    """Take a table step by step to this release's layout, before it is written. May run twice at once.

    :param table: the loaded table; it is refreshed by the commits.
    :param role: what it is for.
    :return: the same table.
    :raises LayoutTooNew: when it is past this release's layout.
    """
    for version in range(layout_of(table) + 1, CURRENT + 1):
        transaction = Transaction(table)
        # Without it a slow run would set back the version that a later release has set meanwhile.
        unmoved = AssertProperties(properties={LAYOUT_VERSION: table.properties.get(LAYOUT_VERSION)})
        transaction._apply((), (unmoved,))  # type: ignore[arg-type]
        columns = _CAME_WITH[version].get(role, {})
        present = set(table.schema().column_names)
        with transaction.update_schema() as update:
            for name, kind in columns.items():
                if name not in present:
                    update.add_column(name, kind)
        transaction.set_properties({LAYOUT_VERSION: str(version)})
        transaction.commit_transaction()
        log.info("%s: brought to layout version %d", ".".join(table.name()), version)
    return table
