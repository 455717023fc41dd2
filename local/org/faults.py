"""The rules of a fault plan: which requests the org answers wrongly, late, in part or not at all.

A rule names the requests it is about (method, path, text in the query), which of them it strikes (the nth and so many
more), and what happens then.
"""

from __future__ import annotations

import fnmatch
from typing import Annotated, Literal
from urllib.parse import unquote_plus

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.types import Scope

QUERY = "/services/data/v*/query*"
PAGES = "/services/data/v*/query*/01g*"
DESCRIBE = "/services/data/v*/sobjects/*/describe"
JOBS = "/services/data/v*/jobs/query"
JOB = "/services/data/v*/jobs/query/750*"
RESULTS = "/services/data/v*/jobs/query/*/results"
RESULT_PAGES = "/services/data/v*/jobs/query/*/resultPages"
UPDATED = "/services/data/v*/sobjects/*/updated*"
LOGIN = "/sim.salesforce.com/services/*"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(_Model):
    """Answer in the org's stead.

    :param status: HTTP status.
    :param code: Salesforce's error code; '' for an HTML page, as its load balancers send.
    :param message: the text a person reads.
    :param body: the whole body instead, as it is.
    :param retry_after: seconds, or an HTTP date; None: no such header.
    """

    kind: Literal["answer"] = "answer"
    status: int = Field(ge=200, le=599)
    code: str = ""
    message: str = ""
    body: str | None = None
    retry_after: str | None = None


class Echo(_Model):
    """Answer with an error that repeats the request: its path, its headers, its body as it is and in base64.

    :param status: HTTP status.
    :param style: shape of the error: `rest`, `oauth` or `soap`.
    """

    kind: Literal["echo"] = "echo"
    status: int = Field(ge=400, le=599)
    style: Literal["rest", "oauth", "soap"] = "rest"


class Drop(_Model):
    """Close the connection.

    :param after: share of the body that is sent first; None: not even a status line.
    """

    kind: Literal["drop"] = "drop"
    after: float | None = Field(default=None, ge=0, lt=1)


class Hang(_Model):
    """Say nothing until the client gives up, or for so many seconds; then close the connection."""

    kind: Literal["hang"] = "hang"
    seconds: float = Field(gt=0, le=600)


class Slow(_Model):
    """Say nothing for so many seconds, then let the org answer."""

    kind: Literal["slow"] = "slow"
    seconds: float = Field(gt=0, le=600)


class Truncate(_Model):
    """Send the first part of the body as if it were all of it.

    :param keep: share of the body that is sent.
    :param packed: cut the gzip stream instead of the text.
    """

    kind: Literal["truncate"] = "truncate"
    keep: float = Field(ge=0, lt=1)
    packed: bool = False


class Lose(_Model):
    """Leave out the last records of a page, in JSON or CSV, without saying so."""

    kind: Literal["lose"] = "lose"
    rows: int = Field(ge=1)


class Replace(_Model):
    """Put other bytes in the place of some, wherever an answer's body holds them.

    :param texts: what is sought → what is put there; a character stands for the byte of its number (Latin-1), so that
        what is no UTF-8 can be said as well.
    """

    kind: Literal["replace"] = "replace"
    texts: dict[str, str] = Field(min_length=1)


class Miscount(_Model):
    """Add to (or take from) what a COUNT() query finds."""

    kind: Literal["miscount"] = "miscount"
    by: int


class ShortPage(_Model):
    """Send fewer records to the page than asked for; the next page goes on behind them."""

    kind: Literal["short_page"] = "short_page"
    rows: int = Field(ge=1)


class ExpireSessions(_Model):
    """End all sessions before the request is looked at."""

    kind: Literal["expire_sessions"] = "expire_sessions"


class EndJob(_Model):
    """Let the Bulk job that this request creates end otherwise; InProgress: never."""

    kind: Literal["end_job"] = "end_job"
    state: Literal["Failed", "Aborted", "InProgress"]
    error: str | None = None


class SlowJob(_Model):
    """Let the Bulk job that this request creates take so many seconds longer."""

    kind: Literal["slow_job"] = "slow_job"
    seconds: float = Field(gt=0, le=600)


class Skew(_Model):
    """Shift the Date header of the answer by so many seconds."""

    kind: Literal["skew"] = "skew"
    seconds: int


class SetUsage(_Model):
    """Set the API calls used within the last 24 hours, then let the org answer."""

    kind: Literal["set_usage"] = "set_usage"
    used: int = Field(ge=0)


class Advance(_Model):
    """Move the org's clock, so that what happens until then has happened, then let the org answer."""

    kind: Literal["advance"] = "advance"
    clock: AwareDatetime


Action = Annotated[
    Answer
    | Echo
    | Drop
    | Hang
    | Slow
    | Truncate
    | Lose
    | Replace
    | Miscount
    | ShortPage
    | ExpireSessions
    | EndJob
    | SlowJob
    | Skew
    | SetUsage
    | Advance,
    Field(discriminator="kind"),
]


class Fault(_Model):
    """One rule.

    :param do: what happens.
    :param method: HTTP method, `*` for any.
    :param path: pattern of the path, as a shell would match it.
    :param contains: text that the unescaped query string holds, in any case.
    :param lacks: text that it does not hold; '' for no such condition.
    :param nth: the first of the matching requests that is struck, from 1.
    :param times: how many are struck from there on; None: all.
    """

    do: Action
    method: str = "*"
    path: str = "*"
    contains: str = ""
    lacks: str = ""
    nth: int = Field(default=1, ge=1)
    times: int | None = Field(default=1, ge=1)

    def matches(self, scope: Scope) -> bool:
        """Tell whether a request is one that this rule is about.

        :param scope: the request's ASGI scope.
        """
        if self.method not in {"*", scope["method"]} or not fnmatch.fnmatchcase(scope["path"], self.path):
            return False
        query = unquote_plus(scope["query_string"].decode("ascii", "replace")).lower()
        return self.contains.lower() in query and not (self.lacks and self.lacks.lower() in query)

    def is_due(self, number: int) -> bool:
        """Tell whether the rule strikes a request.

        :param number: which of the matching requests it is, from 1.
        """
        return self.nth <= number and (self.times is None or number < self.nth + self.times)
