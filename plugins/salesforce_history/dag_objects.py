"""From a DAG, or an object's name, back to the object file."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from include.config.object_file import ObjectFile, ObjectFileError, read_object_files

log = logging.getLogger(__name__)


def object_of(dag_id: str) -> ObjectFile | None:
    """Whose pipeline a DAG is; None for one that serves no single object.

    :param dag_id: the DAG.
    """
    return next((found for found in _object_files() if found.dag_id == dag_id), None)


def object_called(name: str) -> ObjectFile | None:
    """The file of an object; None where there is none, or no longer one.

    :param name: API name of the object.
    """
    return next((found for found in _object_files() if found.object == name), None)


def _object_files() -> Iterable[ObjectFile]:
    """All of them. If one is wrong, none: then the environment's addresses hold, and alerts go out all the same."""
    try:
        return read_object_files().values()
    except ObjectFileError as problem:
        log.error("alerts go where the environment says, because an object file is wrong: %s", problem)
        return ()
