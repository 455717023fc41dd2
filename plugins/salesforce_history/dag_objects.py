"""From a DAG back to its object."""

from __future__ import annotations

from include.config.object_file import ObjectFile, read_object_files


def object_of(dag_id: str) -> ObjectFile | None:
    """Whose pipeline a DAG is; None for one that serves no single object.

    :param dag_id: the DAG.
    """
    return next((found for found in read_object_files().values() if found.dag_id == dag_id), None)


def object_called(name: str) -> ObjectFile | None:
    """The file of an object; None where there is none, or no longer one.

    :param name: API name of the object.
    """
    return next((found for found in read_object_files().values() if found.object == name), None)
