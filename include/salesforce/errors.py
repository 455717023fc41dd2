"""What can go wrong between this package and Salesforce: one class a remedy, and the mapping from answers to classes.

A message says what happened and what to do about it. It never carries a token, a secret or a URL: Salesforce's own
texts are cut and cleaned before they are quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any


class SalesforceProblem(Exception):
    """Base of every problem with Salesforce.

    :param what: what happened, in a sentence.
    :param remedy: what to do about it; default: the class's.
    """

    default_remedy = "Look up the code in Salesforce's REST API documentation, then run the task again."

    def __init__(self, what: str, *, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy or self.default_remedy

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


class CredentialsRefused(SalesforceProblem):
    """The login was refused: wrong secret, locked user, expired password, app not allowed."""

    default_remedy = (
        "Check the Airflow connection: consumer key and secret (or user, password and security token), the domain, and "
        "that the integration user is active, not locked and allowed to use the connected app."
    )


class ConnectionIncomplete(SalesforceProblem):
    """There is no Airflow connection, or it does not hold what a login needs."""

    default_remedy = (
        "Give it type salesforce and, in its extra, domain, consumer_key and consumer_secret (client credentials). A "
        "login with consumer_key and private_key_file_path (JWT), or with user, password and security_token, works too."
    )


class SessionLost(SalesforceProblem):
    """The session was refused again straight after a new login."""

    default_remedy = (
        "Check the session settings of the integration user's profile (IP ranges, session timeout, sessions locked to "
        "an IP address) and that nothing revokes its tokens, then run the task again."
    )


class WrongOrg(SalesforceProblem):
    """The connection leads to another org than the one that was planned for."""

    default_remedy = "Point the Airflow connection at the org that this lake belongs to, then clear check_source."


class PermissionMissing(SalesforceProblem):
    """The integration user may not do this."""

    default_remedy = (
        "Give the integration user's permission set 'API Enabled', and Read on the object and on each field."
    )


class FieldMissing(SalesforceProblem):
    """A field that must be read is not in the org's describe."""


class ObjectMissing(SalesforceProblem):
    """The object is not there, or the integration user cannot see it."""

    default_remedy = (
        "Check the object's API name in include/objects, and that the integration user's permission set grants Read."
    )


class UnexpectedSchema(SalesforceProblem):
    """The org's field is not what the object file needs it to be."""

    default_remedy = "Compare with `validate_schema` and change the object file."


class QueryRefused(SalesforceProblem):
    """Salesforce refused the query itself: an unknown field, a malformed or too long query."""

    default_remedy = "Run `validate_schema`: a field may have been renamed or hidden since the read was planned."


class QueryTooSlow(SalesforceProblem):
    """Salesforce gave up on the query: it is too broad for one request."""

    default_remedy = (
        "Read less at once: Params since and until, or fewer fields in the object file. The cursor may lack an index: "
        "Salesforce's support can add one."
    )


class QueryCursorLost(SalesforceProblem):
    """Salesforce has forgotten the position in the result (INVALID_QUERY_LOCATOR): the query starts again."""

    default_remedy = "Run the task again; the read starts from the beginning."


class ApiLimitReached(SalesforceProblem):
    """The org's API requests of the last 24 hours are used up. Trying again now makes it worse."""

    default_remedy = (
        "Wait: the limit counts the last 24 hours and frees up by itself. Setup > System Overview shows who uses it. "
        "The next run reads what this one missed."
    )


class ApiReserveReached(SalesforceProblem):
    """The org's API requests in use are over the share that this pipeline may bring them to."""

    default_remedy = (
        "The task waits and looks again by itself: the count is of the last 24 hours and falls. Setup > System "
        "Overview shows who uses it; SF_HISTORY_MAX_API_USAGE_PERCENTAGE is the share."
    )


class SourceUnavailable(SalesforceProblem):
    """Salesforce, or the way to it, did not answer after all retries."""

    default_remedy = "Check status.salesforce.com and the network; the task can be run again at any time."


class IncompleteRead(SalesforceProblem):
    """Fewer distinct records arrived than Salesforce counts, or a result ended early, on every attempt."""

    default_remedy = (
        "Nothing was published. Run the task again; if it persists, compare the integration user's sharing rules and "
        "look for a job that writes many records with old dates."
    )


class BulkJobFailed(SalesforceProblem):
    """A Bulk API 2.0 job ended Failed or Aborted, or did not end in time."""

    default_remedy = "See Setup > Bulk Data Load Jobs for the job, then run the task again."


class Unavailable(Exception):
    """One attempt failed in a way that another may not. Internal: it ends as `SourceUnavailable` or is retried away.

    :param cause: what happened, in a few words.
    :param delay: seconds to wait before the next attempt, if Salesforce said so.
    """

    def __init__(self, cause: str, *, delay: float | None = None) -> None:
        super().__init__(cause)
        self.delay = delay


class SessionExpired(Exception):
    """The session is no longer valid. Internal: answered by one new login."""


_TOKEN = re.compile(
    r"(00D[A-Za-z0-9]{9,15}![\w.\-/+=]*|(?i:bearer|basic)\s+\S+|eyJ[\w-]{8,}\.[\w.-]+|[\w+/-]{64,}={0,2})"
)
_URL = re.compile(r"https?://\S+")
_ASSIGNED = re.compile(
    r"(?i)\b(password|secret|client_secret|security_token|access_token|assertion|sessionid)\b(\s*[=:>]\s*)\S+"
)

_SLOW = frozenset(
    {"QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED", "EXCEEDED_ID_LIMIT", "REQUEST_RUNNING_TOO_LONG", "OPERATION_TOO_LARGE"}
)
_CODES: dict[str, type[SalesforceProblem]] = {
    "INVALID_FIELD": QueryRefused,
    "MALFORMED_QUERY": QueryRefused,
    "INVALID_QUERY_FILTER_OPERATOR": QueryRefused,
    "INVALID_TYPE": ObjectMissing,
    "INVALID_TYPE_FOR_OPERATION": ObjectMissing,
    "NOT_FOUND": ObjectMissing,
    "INVALID_QUERY_LOCATOR": QueryCursorLost,
    "INVALID_LOCATOR": QueryCursorLost,
    "INSUFFICIENT_ACCESS": PermissionMissing,
    "INSUFFICIENT_ACCESS_OR_READONLY": PermissionMissing,
    "API_CURRENTLY_DISABLED": PermissionMissing,
    "API_DISABLED_FOR_ORG": PermissionMissing,
    "FUNCTIONALITY_NOT_ENABLED": PermissionMissing,
    "INVALID_LOGIN": CredentialsRefused,
    **dict.fromkeys(_SLOW, QueryTooSlow),
}
_STATUSES: dict[int, type[SalesforceProblem]] = {
    403: PermissionMissing,
    404: ObjectMissing,
    413: QueryRefused,
    414: QueryRefused,
    431: QueryRefused,
}
#: Codes that another attempt may not meet, whatever the status they come with.
_PASSING = frozenset({"SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "UNABLE_TO_LOCK_ROW", "SERVICE_UNAVAILABLE"})


def is_too_slow(text: str | None) -> bool:
    """Whether a failed job's message says that the query was too much for Salesforce.

    :param text: errorMessage of a Bulk job, if it has one.
    """
    return any(code in (text or "") for code in _SLOW)


def clean(text: str, *, limit: int = 400) -> str:
    """A text of Salesforce's that may be quoted: one line, cut, without tokens, URLs or assigned secrets.

    :param text: the text.
    :param limit: most characters.
    """
    cleaned = _ASSIGNED.sub(r"\1\2***", _URL.sub("<url>", _TOKEN.sub("***", " ".join(text.split()))))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def read_error(body: str, *, hide: Callable[[str], str] = str) -> tuple[str, str]:
    """Code and text of an error answer, whichever of Salesforce's shapes it has.

    :param body: JSON list of errors, JSON object (`errorCode` or `error`), or HTML.
    :param hide: takes known secrets out of a text.
    :return: code ('' if there is none) and cleaned text.
    """
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        title = re.search(r"<title>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
        return "", clean(hide(title[1])) if title else ""
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    if not isinstance(first, dict):
        return "", ""
    code = first.get("errorCode") or first.get("error") or ""
    text = first.get("message") or first.get("error_description") or ""
    return clean(hide(str(code)), limit=80), clean(hide(str(text)))


def problem_of(
    *,
    status: int,
    body: str,
    what: str,
    retry_after: float | None,
    rate_delay: float,
    hide: Callable[[str], str] = str,
) -> Exception:
    """The exception that an error answer stands for.

    :param status: HTTP status, 300 and above.
    :param body: the answer's body.
    :param what: what was being done, `reading User`.
    :param retry_after: seconds of the answer's Retry-After header, if any.
    :param rate_delay: seconds to wait on a rate limit where the answer names none.
    :param hide: takes known secrets out of a text.
    :return: a `SalesforceProblem`, or the internal `Unavailable` / `SessionExpired`.
    """
    code, text = read_error(body, hide=hide)
    said = f"{what}: Salesforce answered {' '.join(filter(None, (str(status), code)))}"
    said = f"{said}: {text.rstrip('.')}." if text else f"{said}."
    limited = code == "REQUEST_LIMIT_EXCEEDED"
    found: Exception
    if status == 401 or code == "INVALID_SESSION_ID":
        found = SessionExpired(said)
    elif limited and "concurrent" not in text.lower():
        found = ApiLimitReached(said)
    elif limited or status == 429:
        found = Unavailable(said, delay=rate_delay if retry_after is None else retry_after)
    elif code not in _PASSING and (known := _CODES.get(code) or _STATUSES.get(status)):
        found = known(said)
    elif code in _PASSING or status >= 500:
        found = Unavailable(said, delay=retry_after)
    else:
        found = SalesforceProblem(said)
    return found
