"""What the tables of an object are called, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from include.config.environment import Environment
from include.config.object_file import ObjectFile


@dataclass(frozen=True, kw_only=True)
class RawTables:
    """Identifiers (`namespace.table`) of an object's tables.

    :param mirror: one row an Id: its last observation.
    :param changes: the log of observations, append-only.
    :param quarantine: records that were rejected.
    :param ledger: which batches of the log the dimension has consumed; it lives beside the dimension.
    :param dimension: the versions, which dbt publishes.
    :param snapshot: dbt's own snapshot of the mirror.
    """

    mirror: str
    changes: str
    quarantine: str
    ledger: str
    dimension: str
    snapshot: str

    @classmethod
    def of(cls, object_file: ObjectFile, environment: Environment) -> Self:
        """The identifiers of an object in an environment.

        :param object_file: the object.
        :param environment: where; it names the namespaces.
        """
        raw, curated, table = environment.raw_namespace, environment.curated_namespace, object_file.table
        return cls(
            mirror=f"{raw}.{table}",
            changes=f"{raw}.{table}_changes",
            quarantine=f"{raw}.{table}_quarantine",
            ledger=f"{curated}.{table}_consumed",
            dimension=f"{curated}.{object_file.dimension}",
            snapshot=f"{curated}.{table}_snapshot",
        )
