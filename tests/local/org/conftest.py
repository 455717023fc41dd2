"""Orgs to test against: real servers on loopback, spoken to over TLS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce

from local.org.handle import OrgHandle, start_org
from local.org.ids import numbered

USERS = 4500
ACCOUNTS = 12
DIVISIONS = ("North", "South", None)


def write_lines(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


def trusting(org: OrgHandle) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a REQUESTS_CA_BUNDLE of the machine would win over session.verify
    session.verify = str(org.ca_bundle)
    return session


def log_in(org: OrgHandle) -> Salesforce:
    extra = org.connection()["extra"]
    return Salesforce(
        session=trusting(org),
        domain=extra["domain"],
        consumer_key=extra["consumer_key"],
        consumer_secret=extra["consumer_secret"],
        version=extra["version"],
    )


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrgHandle]:
    """An org with users and accounts, for tests that only read."""
    home = tmp_path_factory.mktemp("filled")
    events: list[dict[str, Any]] = [
        {
            "at": f"2026-01-05T{number // 3600 + 1:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
            "op": "insert",
            "object": "User",
            "Id": numbered("005", number),
            "fields": {"Name": f"User {number}", "Division": DIVISIONS[number % 3], "IsActive": number % 5 != 0},
        }
        for number in range(USERS)
    ]
    events += [
        {
            "at": "2026-01-05T01:00:00Z",
            "op": "insert",
            "object": "Account",
            "Id": numbered("001", number),
            "fields": {"Name": f"Account {number}", "OwnerId": numbered("005", number), "AnnualRevenue": 10 * number},
        }
        for number in range(ACCOUNTS)
    ]
    events.append({"at": "2026-01-05T02:00:30Z", "op": "delete", "object": "Account", "Id": numbered("001", 3)})
    with start_org(home) as org:
        org.load_events(write_lines(home / "filled.jsonl", events))
        org.set_clock(datetime(2026, 1, 5, 6, tzinfo=UTC))
        yield org


@pytest.fixture(scope="session")
def salesforce(filled: OrgHandle) -> Salesforce:
    """The unmodified client, logged in to the filled org."""
    return log_in(filled)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrgHandle]:
    """An empty org of a test module's own, to be changed at will."""
    with start_org(tmp_path_factory.mktemp("org")) as started:
        yield started


@pytest.fixture
def live(org: OrgHandle, tmp_path: Path) -> Callable[..., None]:
    """Lets the module's org live through events."""

    def load(*events: dict[str, Any]) -> None:
        org.load_events(write_lines(tmp_path / "events.jsonl", list(events)))

    return load


@pytest.fixture
def groundtruth() -> Path:
    """Reference data from real orgs, where it lies beside the project."""
    place = Path(__file__).parents[3].parent / "shared" / "groundtruth" / "salesforce"
    if not place.is_dir():
        pytest.skip("no ../shared/groundtruth here")
    return place
