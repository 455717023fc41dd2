"""The fault plan: the rules that a script or test has set through the control API, applied to every request.

Every matching rule counts the request; the first that is due strikes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from starlette.types import ASGIApp, Scope

from local.org import strikes
from local.org.faults import (
    Action,
    Advance,
    Answer,
    Drop,
    Echo,
    EndJob,
    ExpireSessions,
    Fault,
    Hang,
    Lose,
    Miscount,
    Replace,
    SetUsage,
    ShortPage,
    Skew,
    Slow,
    SlowJob,
    Truncate,
)
from local.org.sessions import Sessions
from local.org.store import Store
from local.org.usage import Usage

_FAULTS = TypeAdapter(list[Fault])


class FaultPlan:
    """The rules in force, and how often each has matched and struck.

    :param store: the org's, whose clock a fault may move.
    :param sessions: that a fault may end.
    :param usage: that a fault may set.
    """

    def __init__(self, *, store: Store, sessions: Sessions, usage: Usage) -> None:
        self._store, self._sessions, self._usage = store, sessions, usage
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._matched: list[int] = []
        self._struck: list[int] = []

    def set(self, rules: Sequence[Any]) -> None:
        """Replace the plan.

        :param rules: as JSON.
        :raises ValueError: naming what is wrong in which rule.
        """
        found = _FAULTS.validate_python(list(rules))
        with self._lock:
            self._rules, self._matched, self._struck = found, [0] * len(found), [0] * len(found)

    def report(self) -> list[dict[str, Any]]:
        """Each rule with the requests that it matched and struck so far."""
        with self._lock:
            numbers = zip(self._rules, self._matched, self._struck, strict=True)
            return [
                {"rule": rule.model_dump(mode="json"), "matched": matched, "struck": struck}
                for rule, matched, struck in numbers
            ]

    def __call__(self, scope: Scope, app: ASGIApp) -> ASGIApp:
        """Return the app that is to answer a request.

        :param scope: the request's ASGI scope.
        :param app: the org.
        """
        action = self._due(scope)
        return app if action is None else self._struck_app(action, scope, app)

    def _due(self, scope: Scope) -> Action | None:
        due = None
        with self._lock:
            for place, rule in enumerate(self._rules):
                if not rule.matches(scope):
                    continue
                self._matched[place] += 1
                if due is None and rule.is_due(self._matched[place]):
                    self._struck[place] += 1
                    due = rule.do
        return due

    def _struck_app(self, action: Action, scope: Scope, app: ASGIApp) -> ASGIApp:  # noqa: PLR0911, PLR0912
        match action:
            case Answer():
                return strikes.answer(action.status, action.code, action.message, action.body, action.retry_after)
            case Echo():
                return strikes.echo(action.status, action.style)
            case Drop():
                return strikes.drop(app, after=action.after)
            case Hang():
                return strikes.hang(action.seconds)
            case Slow():
                return strikes.slow(app, action.seconds)
            case Truncate():
                return strikes.truncate(app, keep=action.keep, packed=action.packed)
            case Lose():
                return strikes.lose(app, rows=action.rows)
            case Replace():
                return strikes.replace(app, texts=action.texts)
            case Miscount():
                return strikes.miscount(app, by=action.by)
            case ShortPage():
                scope[strikes.PAGE] = action.rows
            case EndJob():
                scope[strikes.JOB_END] = (action.state, action.error)
            case SlowJob():
                scope[strikes.JOB_SECONDS] = action.seconds
            case Skew():
                scope[strikes.SKEW] = action.seconds
            case ExpireSessions():
                self._sessions.expire()
            case SetUsage():
                self._usage.set(at=self._store.clock, used=action.used)
            case Advance():
                self._advance(action.clock)
        return app

    def _advance(self, clock: datetime) -> None:
        seconds = int(clock.timestamp())
        if seconds > self._store.clock:
            self._store.set_clock(seconds)
