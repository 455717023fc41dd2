"""The runbook has every error that ends a task: the message as a user sees it, and the remedy it ends with."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.alerts.alert import KINDS, Kind
from include.alerts.alert import RUNBOOK as ANCHORS
from include.alerts.runbook import HEADINGS, slug
from include.salesforce import errors

PROJECT = Path(__file__).resolve().parent.parent
RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
#: Never seen by a user: base classes, what is retried away, and what is told as another class.
INTERNAL = {
    "SalesforceProblem",
    "SessionExpired",
    "Unavailable",
    "Overtaken",
    "DraftLost",
    "UnreadableYaml",  # as ObjectFileError
    "UnsafeSoql",  # identifiers come from object files, whose names are checked before
    "InvalidIds",  # as ParamRefused
    "NoExtraction",  # the answer of a command
    "GaveUpWaiting",  # a channel that hangs, told as the channel's
}


def error_classes() -> Iterator[str]:
    """Every exception that include and plugins define; the page's end no task: they are answers, with a remedy each."""
    for path in sorted([*(PROJECT / "include").rglob("*.py"), *(PROJECT / "plugins").rglob("*.py")]):
        if path.parent.name == "page":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ClassDef)
                and not node.name.startswith("_")
                and any(re.search("Error|Exception|Problem|Missing$", ast.unparse(base)) for base in node.bases)
            ):
                yield node.name


def quoted() -> str:
    """What the runbook quotes, on one line."""
    return " ".join(" ".join(line for line in RUNBOOK.splitlines() if line.startswith("    ")).split())


@pytest.mark.parametrize("name", sorted(set(error_classes()) - INTERNAL))
def test_an_error_is_quoted_as_it_is_seen(name: str) -> None:
    opening = "problem(s)" if name == "ObjectFileError" else f"{name}: "
    assert opening in quoted(), f"docs/runbook.md does not quote a message of {name}"


@pytest.mark.parametrize("name", sorted(set(error_classes())))
def test_a_remedy_is_the_one_that_the_code_gives(name: str) -> None:
    problem = getattr(errors, name, None)
    remedy = vars(problem).get("default_remedy") if problem else None
    if not remedy or name in INTERNAL:
        return
    assert " ".join(remedy.split()) in quoted(), f"docs/runbook.md gives another remedy than {name}: {remedy}"


def test_internal_errors_exist() -> None:
    assert set(error_classes()) >= INTERNAL


def headings() -> list[str]:
    """Of the runbook, as written."""
    return [line.lstrip("#").strip() for line in RUNBOOK.splitlines() if line.startswith("#")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_link_of_an_alert_leads_to_its_section(kind: Kind) -> None:
    anchors = [slug(heading) for heading in headings()]
    assert anchors.count(ANCHORS[kind]) == 1, f"docs/runbook.md has no section `### Alert {kind.replace('_', '-')}`"


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_link_of_an_error_leads_to_its_section(heading: str) -> None:
    assert headings().count(heading) == 1, f"docs/runbook.md has no section `### {heading}`"


def test_every_section_about_errors_can_be_linked_to() -> None:
    known = set(error_classes())
    about_errors = {heading for heading in headings() if set(heading.split(", ")) & known}
    assert about_errors - {"HistoryNotPublished"} == set(HEADINGS)
