"""The page "Salesforce history" in Airflow's navigation.

Airflow imports this module in every process, each task's too, so it imports nothing: the page itself is made when the
API server is asked for it first. On MWAA, plugins.zip has the page's code beside this file (deploy/page_code.py).
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/salesforce-history"
#: Where Cosmos serves dbt's docs.
DOCS = "/cosmos/"

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
#: In plugins.zip only. At the end of the import path: where the DAG folder has the code, that is what runs.
_SHIPPED = Path(__file__).resolve().parent / "sf_history_page"


def _find_code() -> None:
    if _SHIPPED.is_dir() and str(_SHIPPED) not in sys.path:
        sys.path.append(str(_SHIPPED))


def _routed(scope: _Message) -> str:
    """The path by which Starlette finds the application (starlette._utils.get_route_path)."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


class LazyPage:
    """An ASGI application that becomes the page at its first request."""

    def __init__(self) -> None:
        self._page: Any = None

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a request, as ASGI has it."""
        if self._page is None:
            _find_code()
            # Here, in the event loop's own thread, which lasts: pyarrow 25 crashes the process once the thread is gone
            # that has imported it, and those that answer requests come and go.
            from salesforce_history.page.app import make_page

            self._page = make_page()
        await self._page(scope, receive, send)


class GuardedDocs:
    """Lets nobody see dbt's docs who may not see Airflow's plugins: Cosmos's own application asks for no session.

    :param app: Airflow's application.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] == "http" and _routed(scope).startswith(DOCS):
            _find_code()
            from salesforce_history.page.docs_guard import refused

            if await refused(scope, receive, send):
                return
        await self.app(scope, receive, send)


class HistoryPagePlugin(AirflowPlugin):
    """Registers the page: its application, and where the navigation shows it.

    Its address has no slash in front, so that it is below Airflow's own, whatever that is.
    """

    name = "salesforce_history_page"
    fastapi_apps = [{"app": LazyPage(), "url_prefix": PREFIX, "name": "Salesforce history"}]  # noqa: RUF012
    fastapi_root_middlewares = [{"middleware": GuardedDocs, "name": "dbt docs behind a session"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Salesforce history",
            "href": f"{PREFIX[1:]}/",
            "destination": "nav",
            "url_route": PREFIX[1:],
            "icon": f"{PREFIX[1:]}/assets/icon.svg",
            "icon_dark_mode": f"{PREFIX[1:]}/assets/icon-dark.svg",
        }
    ]
