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

_Message = MutableMapping[str, Any]
#: In plugins.zip only. At the end of the import path: where the DAG folder has the code, that is what runs.
_SHIPPED = Path(__file__).resolve().parent / "sf_history_page"


class LazyPage:
    """An ASGI application that becomes the page at its first request."""

    def __init__(self) -> None:
        self._page: Any = None

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        """Answer a request, as ASGI has it."""
        if self._page is None:
            if _SHIPPED.is_dir() and str(_SHIPPED) not in sys.path:
                sys.path.append(str(_SHIPPED))
            from salesforce_history.page.app import make_page

            self._page = make_page()
        await self._page(scope, receive, send)


class HistoryPagePlugin(AirflowPlugin):
    """Registers the page: its application, and where the navigation shows it.

    Its address has no slash in front, so that it is below Airflow's own, whatever that is.
    """

    name = "salesforce_history_page"
    fastapi_apps = [{"app": LazyPage(), "url_prefix": PREFIX, "name": "Salesforce history"}]  # noqa: RUF012
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
