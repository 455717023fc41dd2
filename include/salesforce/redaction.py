"""Secrets taken out of what Salesforce, or a proxy on the way, says: some servers repeat what they were sent."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

#: What is shorter is no secret, and would take words out of every message.
_SHORTEST = 5
_HIDDEN = "***"


def hide(text: str, secrets: Iterable[str | None]) -> str:
    """A text in which secrets are stars, in whichever way they are written.

    :param text: what is to be quoted.
    :param secrets: passwords, tokens and keys as they are; of a key of many lines every line counts.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _HIDDEN)
    return text


def _forms(secret: str) -> Iterator[str]:
    for part in {secret, secret.strip(), *(line.strip() for line in secret.splitlines())}:
        if len(part) < _SHORTEST:
            continue
        yield from (part, quote(part), quote(part, safe=""), quote_plus(part), html.escape(part))
        yield json.dumps(part)[1:-1]
        yield from _in_base64(part.encode("utf-8", "replace"))


def _in_base64(secret: bytes) -> Iterator[str]:
    """The letters that a secret becomes wherever it stands in what is encoded, its first and last letters left out."""
    for shift in range(3):
        encoded = base64.b64encode(b"\x00" * shift + secret).decode()
        inner = encoded[(0, 2, 3)[shift] :].rstrip("=")
        inner = inner[: len(inner) - (0 if (len(secret) + shift) % 3 == 0 else 1)]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))
