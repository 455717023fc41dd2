"""The errors that a Salesforce org answers with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


class SalesforceError(Exception):
    """An error that the org answers to a client.

    :param code: Salesforce's error code, e.g. ``INVALID_FIELD``.
    :param message: the text a person reads.
    :param status: the HTTP status that goes with it.
    """

    def __init__(self, code: str, message: str, *, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = int(status)

    def body(self) -> list[dict[str, Any]]:
        """Return the JSON body as Salesforce sends it: a list of one error."""
        return [{"message": self.message, "errorCode": self.code}]


def session_invalid() -> SalesforceError:
    """Return the error for a missing, unknown or expired access token."""
    return SalesforceError("INVALID_SESSION_ID", "Session expired or invalid", status=HTTPStatus.UNAUTHORIZED)


def request_limit_exceeded() -> SalesforceError:
    """Return the error for an org that has used up its API calls of the last 24 hours."""
    return SalesforceError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=HTTPStatus.FORBIDDEN)


def not_found(message: str = "The requested resource does not exist") -> SalesforceError:
    """Return the error for a path, an object or a record that is not there."""
    return SalesforceError("NOT_FOUND", message, status=HTTPStatus.NOT_FOUND)


def method_not_allowed(method: str) -> SalesforceError:
    """Return the error for an HTTP method that a resource does not have.

    :param method: the method that was tried.
    """
    return SalesforceError(
        "METHOD_NOT_ALLOWED",
        f"HTTP Method '{method}' not allowed. Allowed are HEAD,GET",
        status=HTTPStatus.METHOD_NOT_ALLOWED,
    )


def invalid_locator() -> SalesforceError:
    """Return the error for a cursor or a locator that is unknown or has lapsed."""
    return SalesforceError("INVALID_QUERY_LOCATOR", "invalid query locator")
