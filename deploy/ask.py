"""Questions to the person at the terminal. Where nobody sits, nobody is asked."""

from __future__ import annotations

import sys

from deploy.problem import DeployFailed


def agree(question: str) -> bool:
    """Ask, and take only `yes` for yes.

    :param question: without the choices.
    :raises DeployFailed: when there is no terminal.
    """
    return typed(f"{question} Type yes: ", instead="Give YES=1 (--yes) to apply without being asked.") == "yes"


def typed(question: str, *, instead: str) -> str:
    """What a person types.

    :param question: what is asked.
    :param instead: what to do where there is no terminal.
    :raises DeployFailed: when there is no terminal.
    """
    if not sys.stdin.isatty():
        raise DeployFailed("there is no terminal to ask for your agreement, so nothing was changed.", instead)
    try:
        return input(question).strip()
    except EOFError:
        return ""
