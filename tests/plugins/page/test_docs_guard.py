"""dbt's docs are behind the guard wherever Starlette finds them, whatever path Airflow is served at."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from plugins.history_page import GuardedDocs
from salesforce_history.page import docs_guard


async def _no(scope: Any, receive: Any, send: Any) -> bool:
    await PlainTextResponse("no", 401)(scope, receive, send)
    return True


@pytest.mark.parametrize("root", ["", "/team/airflow", "/c", "/cos"])
def test_no_address_leads_past_it(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setattr(docs_guard, "refused", _no)
    docs = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("the docs"))])
    rest = Route("/{path:path}", lambda _: PlainTextResponse("the rest"))
    guarded = GuardedDocs(Starlette(routes=[Mount("/cosmos", docs), rest]))

    async def airflow(scope: Any, receive: Any, send: Any) -> None:
        await guarded({**scope, "root_path": root} if scope["type"] == "http" else scope, receive, send)

    client = TestClient(airflow)
    for path in ("/cosmos/x", f"{root}/cosmos/x", "/cosmos//x", "/%63osmos/x", f"{root}{root}/cosmos/x", "//cosmos/x"):
        assert "the docs" not in client.get(path).text, path
    assert client.get(f"{root}/cosmos/x").status_code == 401
    assert client.get("/else").text == "the rest"
