"""From what pydantic found wrong to what a person has to change: the key, what is allowed, the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

_PLAIN = {
    "missing": "is missing: it must be given",
    "string_type": "must be a text; put it in quotes if it is one",
    "string_unicode": "holds half of a surrogate pair, which is no character: write the whole character",
    "tuple_type": "must be a list, such as [first, second]",
    "dict_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of keys to values",
    "int_type": "must be a whole number without quotes",
    "float_type": "must be a number without quotes",
    "invalid_key": "must be a text",
}
_LONGEST_KEY = 120
_MOST_LINES = 20


def explain(
    error: ValidationError,
    *,
    keys: Mapping[str, type[BaseModel]],
    patterns: Mapping[str, str],
    missing: Mapping[str, str],
    decides: str,
) -> list[str]:
    """How many problems there are, then a line for each; of very many, for the first ones.

    :param error: of a model.
    :param keys: path of a mapping in the file ('' for the file itself) → the model whose keys are allowed there.
    :param patterns: regular expression → what it allows, in words.
    :param missing: key → what to write where it is missing.
    :param decides: key without whose right value nothing can be said of the others.
    """
    problems = error.errors(include_url=False)
    problems = [found for found in problems if found["loc"] == (decides,) and found["type"] != "missing"] or problems
    lines = [_line(problem, keys, patterns, missing) for problem in problems[:_MOST_LINES]]
    if len(problems) > _MOST_LINES:
        lines.append(f"  and {len(problems) - _MOST_LINES:,} more")
    return [f"{len(problems):,} problem(s)", *lines]


def readable(key: str) -> str:
    """A key as a message may show it: as it is, or, where it is no plain name, quoted, escaped and cut.

    :param key: from a file.
    """
    return key if key.isprintable() and key.isascii() and 0 < len(key) <= _LONGEST_KEY else f"{key!r:.{_LONGEST_KEY}}"


def _line(
    problem: Mapping[str, Any],
    keys: Mapping[str, type[BaseModel]],
    patterns: Mapping[str, str],
    missing: Mapping[str, str],
) -> str:
    kind, location = problem["type"], [part for part in problem["loc"] if part != "[key]"]
    message = _PLAIN.get(kind) or problem["msg"].removeprefix("Value error, ")
    if kind == "missing" and location and location[0] in missing:
        message = f"is missing; {missing[str(location[0])]}"
    if kind == "extra_forbidden":
        model = keys[".".join(str(part) for part in location[:-1])]
        message = f"is not a key; allowed are {', '.join(model.model_fields)}"
    elif kind == "string_pattern_mismatch":
        pattern = problem["ctx"]["pattern"]
        message = f"must be {patterns[pattern]}" if pattern in patterns else message
    value = problem.get("input")
    whole_file = not location and isinstance(value, dict)
    shown = "" if kind == "missing" or whole_file else f" (got {value!r:.120})"
    key = readable(".".join(str(part) for part in location)) if location else "the file"
    return f"  {key}: {message}{shown}"
