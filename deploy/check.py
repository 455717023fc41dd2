"""A check: what was looked at, whether it holds, and what to do if not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """A check of a live environment.

    :param name: what was looked at.
    :param verdict: ok, warning (does not fail the command) or failed.
    :param found: what there is.
    :param remedy: what to do; empty if it holds.
    """

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def judged(name: str, holds: bool, found: str, remedy: str) -> Check:
    """A check that holds or fails.

    :param name: what was looked at.
    :param holds: whether it is as it should be.
    :param found: what there is.
    :param remedy: what to do if it does not hold.
    """
    return Check(name, "ok", found) if holds else Check(name, "failed", found, remedy)
