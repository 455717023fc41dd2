"""What is taken for a refusal of AWS's, and what only came after one."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from include.lake.denied import denial


def refusal(code: str, operation: str = "HeadObject") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "Forbidden"}}, operation)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "Forbidden", "403"])
def test_a_refusal_is_told_whatever_the_service_calls_it(code: str) -> None:
    assert "AWS refused HeadObject" in str(denial(refusal(code)))
    assert denial(refusal("404")) is None


def test_what_a_refusal_caused_is_a_refusal() -> None:
    wrapped = RuntimeError("the table cannot be read")
    wrapped.__cause__ = refusal("AccessDenied", "GetTable")
    assert "AWS refused GetTable" in str(denial(wrapped))


def slow_after_a_refusal(*, hidden: bool) -> None:
    try:
        raise refusal("AccessDenied")
    except ClientError:
        if hidden:
            raise TimeoutError("the network is slow") from None
        raise TimeoutError("the network is slow")  # noqa: B904 - that is the case


@pytest.mark.parametrize("hidden", [False, True], ids=["while it was handled", "from None"])
def test_what_came_after_a_refusal_is_not_one(hidden: bool) -> None:
    with pytest.raises(TimeoutError) as late:
        slow_after_a_refusal(hidden=hidden)
    assert late.value.__context__ is not None
    assert denial(late.value) is None
