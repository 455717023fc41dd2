"""What Salesforce finds too much for one query is asked for in parts: a span is halved in time until it answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from include.salesforce import soql
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import QueryTooSlow
from include.salesforce.filters import Span

log = logging.getLogger(__name__)

#: Halvings of one read altogether; each has cost a query that ran into Salesforce's time limit of two minutes.
MOST_HALVINGS = 64

T = TypeVar("T")


def narrowed(span: Span, read: Callable[[Span], Iterator[T]]) -> Iterator[T]:
    """Read a span, or whatever parts of it Salesforce can answer for: together they are the whole.

    What a part had yielded before Salesforce gave up is yielded again by its halves; Ids that come twice are told apart
    by what follows.

    :param span: what is to be read.
    :param read: reads one span.
    :raises QueryTooSlow: when the smallest part, or too many parts, were too much still.
    """
    waiting, halvings = [span], 0
    while waiting:
        part = waiting.pop()
        try:
            yield from read(part)
        except QueryTooSlow as error:
            halves = part.halves()
            if halves is None or halvings == MOST_HALVINGS:
                raise QueryTooSlow(f"{error.what} It was halved in time {halvings} times, down to {part}.") from None
            halvings += 1
            log.warning("%s Halving the window: %s goes on in two parts.", error.what, part)
            waiting += reversed(halves)


def count_records(client: SalesforceClient, *, object_name: str, span: Span, include_deleted: bool) -> int:
    """Salesforce's own count of the records of a span.

    :param client: the org.
    :param object_name: API name.
    :param span: which records.
    :param include_deleted: count soft-deleted records too.
    :raises QueryTooSlow: when not even parts of it can be counted.
    """

    def count(part: Span) -> Iterator[int]:
        query = soql.count(object_name=object_name, where=part.where)
        yield client.count(query, include_deleted=include_deleted, what=f"counting {object_name}")

    return sum(narrowed(span, count))
