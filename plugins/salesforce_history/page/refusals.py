"""How the page says no: always JSON with `error` and `remedy`, never a stack trace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from include.alerts.wording import one_line, without_ids
from include.config.environment import UnknownEnvironment
from include.config.object_file import ObjectFileError
from include.lake.denied import denial
from include.lake.layout import LayoutTooNew
from include.page.answers import BadRequest, LakeUnreachable, NotThere, PageProblem

log = logging.getLogger(__name__)

_STATUS: dict[type[PageProblem], int] = {BadRequest: 400, NotThere: 404, LakeUnreachable: 503}
_OF_HTTP = {
    401: ("You are not signed in.", "Sign in to Airflow, then open this page again."),
    403: (
        "You may not see this page.",
        "Ask an administrator of Airflow for a role that may read plugins (Viewer has that).",
    ),
    404: ("There is no such page.", "Open Salesforce history from Airflow's navigation."),
    405: (
        "This page is read-only: GET is the only method.",
        "Runs are triggered, and all is changed, in the pipelines.",
    ),
}


class ReadingRoute(APIRoute):
    """A route that reads the lake: whatever goes wrong there is told in words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with everything caught."""
        handler = super().get_route_handler()

        async def careful(request: Request) -> Response:
            try:
                try:
                    return await handler(request)
                except FileNotFoundError:
                    # An erasure or the upkeep took a file away between loading the table and reading it: now the
                    # catalog knows those that replaced it.
                    return await handler(request)
            except (PageProblem, RequestValidationError, HTTPException):
                raise
            except Exception as problem:  # the lake's own errors come from five libraries
                raise in_words(problem) from problem

        return careful


def in_words(problem: Exception) -> PageProblem:
    """What went wrong while reading, and what to do.

    :param problem: as it was raised.
    """
    if isinstance(problem, ObjectFileError | UnknownEnvironment):
        return LakeUnreachable(
            str(problem), remedy="Correct the configuration; docs/configuration.md explains every key."
        )
    if isinstance(problem, LayoutTooNew):
        return LakeUnreachable(str(problem), remedy="Deploy the release that the lake was written by, here too.")
    if (refused := denial(problem)) is not None:
        return LakeUnreachable(one_line(str(refused)), remedy="Give Airflow's API server the rights of its workers.")
    log.error("the page could not read the lake", exc_info=problem)
    return LakeUnreachable(
        f"The lake cannot be read: {type(problem).__name__}: {one_line(without_ids(str(problem)), longest=300)}",
        remedy="Look at the Airflow connection of the Iceberg catalog, and whether the catalog and its storage answer "
        "from the API server. The API server's log has the whole error.",
    )


async def of_page(_request: Request, problem: Exception) -> JSONResponse:
    """The answer to a problem of ours.

    :param problem: a PageProblem.
    """
    if not isinstance(problem, PageProblem):
        raise problem
    return JSONResponse(problem.as_dict(), status_code=_STATUS[type(problem)])


async def of_http(_request: Request, problem: Exception) -> JSONResponse:
    """The answer to what Airflow's authentication or the router refuse.

    :param problem: an HTTPException.
    """
    if not isinstance(problem, HTTPException):
        raise problem
    error, remedy = _OF_HTTP.get(problem.status_code, (str(problem.detail), "Open the page anew."))
    return JSONResponse({"error": error, "remedy": remedy}, status_code=problem.status_code, headers=problem.headers)
