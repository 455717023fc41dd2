"""Cosmos serves the dbt docs to whoever asks; here they are shown to those only who may see Airflow's plugins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from salesforce_history.page.refusals import of_http

_Message = MutableMapping[str, Any]


async def refused(
    scope: _Message,
    receive: Callable[[], Awaitable[_Message]],
    send: Callable[[_Message], Awaitable[None]],
) -> bool:
    """Answer a request that has no session, or whose user may not see plugins.

    :param scope: of the request, as ASGI has it; so are the others.
    :return: whether it was answered.
    """
    request = Request(scope)
    try:
        user = await get_user(request, None, await bearer_scheme(request))
        allowed = await run_in_threadpool(
            lambda: get_auth_manager().is_authorized_view(access_view=AccessView.PLUGINS, user=user)
        )
        if not allowed:
            raise HTTPException(403)
    except HTTPException as problem:
        answer = await of_http(request, problem)
        await answer(scope, receive, send)
        return True
    return False
