"""What a request may ask for: every parameter by name, with what is allowed in words."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError

from include.page.answers import BadRequest

#: Parameter → what is allowed.
ALLOWED: dict[str, str] = {}


def as_bad_request(problem: RequestValidationError) -> BadRequest:
    """What FastAPI refuses, in the page's words.

    :param problem: as FastAPI raises it.
    """
    lines = []
    for one in problem.errors():
        name = str(one["loc"][-1])
        if one["type"] == "extra_forbidden":
            lines.append(f"there is no parameter {name!r:.80}")
        else:
            lines.append(f"{name} is {one.get('input')!r:.120}: allowed is {ALLOWED.get(name, one['msg'])}")
    return BadRequest("; ".join(lines), remedy="Correct the address, or open the view anew.")
