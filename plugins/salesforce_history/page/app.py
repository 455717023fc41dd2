"""The page as an application: what it serves, who may see it, and how it says no."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from include.page.answers import NotThere, PageProblem
from salesforce_history.page import assets, history, overview, refusals
from salesforce_history.page.parameters import as_bad_request

#: Whoever may see Airflow's plugins.
signed_in = requires_access_view(AccessView.PLUGINS)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def make_page() -> FastAPI:
    """The application, to be mounted below Airflow's."""
    page = FastAPI(
        title="Salesforce history",
        # Every path of it, those that there are not included: who has no session learns nothing.
        dependencies=[Depends(signed_in)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    page.middleware("http")(assets.guard)
    page.add_exception_handler(StarletteHTTPException, refusals.of_http)
    page.add_exception_handler(RequestValidationError, _invalid)
    page.add_exception_handler(PageProblem, refusals.of_page)
    page.include_router(overview.router)
    page.include_router(history.router)
    page.include_router(assets.router)
    page.add_api_route("/{path:path}", _nothing_here, methods=_METHODS)
    return page


def _nothing_here(request: Request, path: str) -> Response:
    if request.method != "GET":
        raise HTTPException(405, headers={"Allow": "GET"})
    raise NotThere(
        f"There is no page {f'/{path}'!r:.200}.", remedy="Open Salesforce history from Airflow's navigation."
    )


async def _invalid(request: Request, problem: Exception) -> JSONResponse:
    if not isinstance(problem, RequestValidationError):
        raise problem
    return await refusals.of_page(request, as_bad_request(problem))
