"""The pages of a Bulk result, in its order: one behind the other by their locators, or several at once.

From API version 58.0 on Salesforce names up to five pages of a result in one answer (`resultPages`), to be fetched side
by side. It sets their size itself. Each page is an API request, and so is each list of five: a small result is read by
locators, as is any from an older API, and one whose list Salesforce refuses.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import pyarrow as pa

from include.salesforce.bulk_page import Page, read_page
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import (
    IncompleteRead,
    ObjectMissing,
    PermissionMissing,
    QueryRefused,
    SalesforceProblem,
)
from include.staging.manifest import ReadPlan

log = logging.getLogger(__name__)

#: Pages that are fetched, or wait for their turn, at a time: one comes while another is unpacked and read. More of them
#: take more CPU for the same rows, and 25 MB each; Salesforce would allow 25 long requests at once (an org for
#: development five), which are shared with whoever else reads.
AT_ONCE = 2
#: Records of a result from which on several pages are fetched at once.
PARALLEL_FROM = 200_000

_FIRST_VERSION = 58.0
_DOES_WITHOUT = (ObjectMissing, PermissionMissing, QueryRefused)


class Pages:
    """The result of a job that is complete.

    :param client: the org.
    :param job_id: the job.
    :param what: what is being done, for messages.
    :param plan: what was selected.
    :param schema: from `schema_of`.
    """

    def __init__(self, client: SalesforceClient, job_id: str, *, what: str, plan: ReadPlan, schema: pa.Schema) -> None:
        self._client, self._job_id, self._what, self._plan, self._schema = client, job_id, what, plan, schema

    def one_by_one(self, most_rows: int) -> Iterator[Page]:
        """Page after page by their locators; one is held at a time.

        :param most_rows: rows of a page.
        :raises IncompleteRead: when a page names itself as the next one.
        """
        locator = ""
        while True:
            params = {"maxRecords": str(most_rows)} | ({"locator": locator} if locator else {})
            page = self._fetch(f"jobs/query/{self._job_id}/results", params)
            yield page
            if not page.locator:
                return
            if page.locator == locator:
                raise IncompleteRead(f"{self._what}: job {self._job_id} names the same next page twice.")
            locator = page.locator
            self._client.check_reserve(self._what)

    def several_at_once(self, most_rows: int) -> Iterator[Page]:
        """The same pages in the same order, `AT_ONCE` of them fetched at a time; by locators where that is not offered.

        :param most_rows: rows of a page, if it comes to locators.
        :raises IncompleteRead: when a page is named twice.
        """
        listed = self._first_list()
        if listed is None:
            yield from self.one_by_one(most_rows)
            return
        urls = self._urls(listed)
        pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="bulk-page")
        coming: deque[Future[Page]] = deque()
        try:
            while True:
                while len(coming) < AT_ONCE and (url := next(urls, None)) is not None:
                    self._client.check_reserve(self._what)
                    coming.append(pool.submit(self._fetch, url))
                if not coming:
                    return
                yield coming.popleft().result()
        finally:
            # Whoever gives up does not wait for pages that nobody wants any more.
            pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, path: str, params: Mapping[str, str] | None = None) -> Page:
        def read(body: BinaryIO, headers: Mapping[str, str]) -> Page:
            return read_page(body, headers, what=self._what, plan=self._plan, schema=self._schema)

        page = self._client.download(path, params=params, what=self._what, read=read)
        # Each thread's allocator keeps what it has freed, tens of MB, in case this thread needs it again.
        pa.default_memory_pool().release_unused()
        return page

    def _first_list(self) -> dict[str, Any] | None:
        """The first pages that Salesforce names, None if it names none."""
        if self._client.api_version < _FIRST_VERSION:
            return None
        try:
            listed = self._list(f"jobs/query/{self._job_id}/resultPages")
        except SalesforceProblem as error:
            # A class of its own is told of, unless it says that there is no such thing here.
            if type(error) is not SalesforceProblem and not isinstance(error, _DOES_WITHOUT):
                raise
            log.warning("%s The pages are fetched one after the other.", error.what)
            return None
        return listed if listed.get("resultPages") else None

    def _list(self, path: str) -> dict[str, Any]:
        listed: dict[str, Any] = self._client.get_json(path, what=self._what)
        return listed

    def _urls(self, listed: dict[str, Any]) -> Iterator[str]:
        named: set[str] = set()
        while True:
            # The documentation's table calls the key nextRecordUrl, its example and the org nextRecordsUrl.
            following = None if listed["done"] else listed.get("nextRecordsUrl") or listed.get("nextRecordUrl")
            urls = [str(page["resultUrl"]) for page in listed["resultPages"]]
            for url in urls if following is None else [*urls, following]:
                if url in named:
                    raise IncompleteRead(f"{self._what}: job {self._job_id} names the same next page twice.")
                named.add(url)
            yield from urls
            if following is None:
                return
            self._client.check_reserve(self._what)
            listed = self._list(following)
