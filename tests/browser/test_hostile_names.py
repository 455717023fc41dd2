"""Names that would like to be markup, scripts, formulas, or to run out of their box: each is a text."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab
from tests.browser.site import HOSTILE

pytestmark = pytest.mark.browser

INSERTS = [
    event for event in map(json.loads, HOSTILE.read_text(encoding="utf-8").splitlines()) if event["op"] == "insert"
]
NAMED = [event for event in INSERTS if "Name" in event["fields"]]


def harmless(tab: Tab) -> None:
    assert tab.frame.evaluate("window.pwned") is None
    assert tab.page.evaluate("window.pwned") is None
    assert not tab.is_too_wide()


@pytest.mark.parametrize("event", NAMED, ids=lambda event: event["Id"])
def test_a_hostile_record_is_found_and_shown_as_text(tab: Tab, event: dict[str, object]) -> None:
    fields: dict[str, str] = event["fields"]  # type: ignore[assignment]
    view = tab.open("record/user")
    view.get_by_label("Search by").fill(fields["Name"][:40])
    found = view.locator(".results li").filter(has_text=str(event["Id"]))
    expect(found.locator(".result-name")).to_have_text(fields["Name"])
    harmless(tab)
    found.get_by_role("link").click()
    expect(view.get_by_role("heading", level=1)).to_have_text(fields["Name"])
    expect(view.get_by_role("table", name="Versions")).to_contain_text(fields["Division"])
    expect(view.get_by_role("table", name="Observations").locator("tbody tr").first).to_be_visible()
    harmless(tab)


@pytest.mark.parametrize(
    "place",
    ["changes/user", "changes/user?from=&to=%3Cscript%3E", "quarantine/user", "record/user?q=%22%3E%3Cimg%20src=x%3E"],
)
def test_lists_and_addresses_show_them_as_text(tab: Tab, place: str) -> None:
    view = tab.open(place)
    expect(view.locator(".more, .nothing, [role=alert]").first).to_be_visible()
    for details in view.locator("main details summary").all()[:6]:
        details.click()
    harmless(tab)
    assert view.locator("main img, main script, main b, main svg[onload]").count() == 0
