"""The condition that a read and its proof share: which rows are this run's."""

from __future__ import annotations

from datetime import datetime

from include.salesforce import soql
from include.staging.manifest import Window


def window_filter(window: Window, *, cursor: str, created: str | None, read_start: datetime) -> str:
    """The WHERE condition of a window.

    A full refresh has no bound on the cursor: a row touched after the window's end is there, and its absence would look
    like a deletion. It is bounded by the creation date instead, so that the read and the count afterwards speak of the
    same rows however many are created in between. An object without a CreatedDate to filter by is read unbounded: the
    count may then exceed the rows that were read, and the read is made again.

    :param window: the run's window.
    :param cursor: API name of the cursor.
    :param created: API name of CreatedDate, None where it cannot be filtered by.
    :param read_start: the org's clock when the read starts.
    :return: a condition without the word WHERE; '' for every row.
    """
    if not window.full_refresh:
        return soql.between(field=cursor, start=window.start, end=window.end)
    return soql.between(field=created, start=None, end=read_start) if created else ""
