"""Reading by REST: query or queryAll, page by page, in the order (cursor, Id)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from include.salesforce import soql
from include.salesforce.client import SalesforceClient
from include.salesforce.convert import from_json
from include.salesforce.errors import QueryCursorLost
from include.staging.manifest import ReadPlan

#: Bounds that Salesforce sets on the size of a page, in records.
SMALLEST_PAGE, LARGEST_PAGE = 200, 2_000


def read_rest(
    *, client: SalesforceClient, plan: ReadPlan, where: str, schema: pa.Schema, batch_size: int
) -> Iterator[pa.RecordBatch]:
    """Stream a plan's rows. Salesforce's pages are gathered to batches; a page may be shorter than asked for.

    :param client: the org.
    :param plan: what to select.
    :param where: of the span that is read.
    :param schema: from `schema_of`.
    :param batch_size: rows in a batch, the last one excepted.
    :raises QueryCursorLost: when Salesforce has forgotten the position in the result.
    """
    gathered: list[dict[str, Any]] = []
    for page in _pages(client, plan, where, batch_size):
        gathered += page
        while len(gathered) >= batch_size:
            yield from_json(gathered[:batch_size], plan=plan, schema=schema)
            del gathered[:batch_size]
    if gathered:
        yield from_json(gathered, plan=plan, schema=schema)


def _pages(client: SalesforceClient, plan: ReadPlan, where: str, batch_size: int) -> Iterator[list[dict[str, Any]]]:
    what = f"reading {plan.object}"
    query = soql.select(
        fields=[field.name for field in plan.fields],
        object_name=plan.object,
        where=where,
        order_by=[plan.cursor, "Id"],
    )
    size = max(SMALLEST_PAGE, min(batch_size, LARGEST_PAGE))
    options = {"Sforce-Query-Options": f"batchSize={size}"}
    path = "queryAll/" if plan.has_is_deleted else "query/"
    page = client.get_json(path, params={"q": query}, what=what, headers=options)
    visited: set[str] = set()
    while True:
        yield page["records"]
        if page["done"]:
            return
        following = page["nextRecordsUrl"]
        if following in visited:
            raise QueryCursorLost(f"{what}: Salesforce names the same next page twice.")
        visited.add(following)
        client.check_reserve(what)
        page = client.get_json(following, what=what, headers=options)
