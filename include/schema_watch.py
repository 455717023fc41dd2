"""What check_source does about the org's schema: tell what has changed, once, and refuse what the lake cannot take.

In this order: warn, then remember. A crash in between tells a change twice rather than never.
"""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial

from pyiceberg.catalog import Catalog

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.known_fields import read_known_fields, remember_fields
from include.lake.names import RawTables
from include.lake.schema_growth import IncompatibleColumn
from include.lake.tables import mirror_columns, refuse_unfit, source_columns
from include.lake.watermark import LakeState
from include.salesforce.describe import ObjectDescription
from include.salesforce.drift import backfill_notice, drift, memory_after, renamed_to, successors
from include.salesforce.errors import FieldMissing, UnexpectedSchema
from include.salesforce.read_plan import planned_fields
from include.staging.manifest import Window

log = logging.getLogger(__name__)

#: Problems that last until a person has changed the org, its permissions or the object file.
SCHEMA_PROBLEMS = (FieldMissing, UnexpectedSchema, IncompatibleColumn)


class SchemaWatch:
    """One look at an object's fields.

    :param catalog: the Iceberg catalog.
    :param environment: names the tables.
    :param object_file: the object.
    :param description: what the org shows now.
    :param at: the org's clock.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        environment: Environment,
        object_file: ObjectFile,
        description: ObjectDescription,
        at: datetime,
    ) -> None:
        self.description = description
        self._catalog, self._object_file = catalog, object_file
        self._namespace = environment.operations_namespace
        self._tables = RawTables.of(object_file, environment)
        self._look = partial(memory_after, description=description, object_file=object_file, at=at)
        self._before = read_known_fields(catalog, self._namespace, description.name)
        self._after = self._look(self._before)

    def warn(self, state: LakeState, window: Window) -> tuple[str, ...]:
        """Log what has changed since the last look, and what is read for the first time.

        :param state: of the mirror.
        :param window: of the run.
        :return: the sentences that were logged.
        """
        there = mirror_columns(self._catalog, self._tables)
        new = [name for name in self._object_file.fields if there and name.lower() not in there]
        sentences = list(drift(object_file=self._object_file, before=self._before, after=self._after, newly_listed=new))
        shown = [name for name in new if self.description.field(name) is not None]
        if shown and not window.full_refresh:
            sentences.append(backfill_notice(self._object_file, shown, last_full_refresh=state.last_full_refresh))
        for sentence in sentences:
            log.warning("%s", sentence)
        return tuple(sentences)

    def refuse_unfit(self) -> None:
        """Refuse, before anything is read, what could not be read or written.

        :raises FieldMissing: when a required or tracked field is not there; it names what it was probably renamed to.
        :raises UnexpectedSchema: when a field cannot be read as one value, or not told apart from another.
        :raises IncompatibleColumn: when a field's type in the org no longer fits its column.
        """
        fields = planned_fields(self._object_file, self.description, hint=self._hint)
        refuse_unfit(self._catalog, self._tables, source_columns(self._object_file, fields))

    def remember(self) -> None:
        """Keep what was seen, so that the next run tells only what is new to it."""
        if self._after != self._before:
            remember_fields(self._catalog, self._namespace, self.description.name, self._look)

    def _hint(self, name: str) -> str:
        names = successors(self._after, name)
        return f"{renamed_to(names)}." if names else ""
