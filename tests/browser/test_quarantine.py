"""What was refused, why, and how it comes in."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Tab

pytestmark = pytest.mark.browser


def test_reasons_are_counted_and_filter_the_records(tab: Tab) -> None:
    view = tab.open("quarantine/user")
    expect(view.locator(".entry")).to_have_count(2)
    reasons = view.get_by_role("region", name="Reasons").get_by_role("button")
    expect(reasons.first).to_contain_text("2")
    reasons.first.click()
    expect(reasons.first).to_have_attribute("aria-pressed", "true")
    expect(view.locator(".entry")).to_have_count(2)


def test_a_record_can_be_read_as_it_was(tab: Tab) -> None:
    view = tab.open("quarantine/user")
    entry = view.locator(".entry").filter(has_text="0055e0000900008AAA")
    entry.get_by_text("The record as it was read").click()
    expect(entry.locator("pre")).to_contain_text('"<b onmouseover=window.pwned=5>hover</b>"')


def test_it_says_how_to_replay_and_leads_there(tab: Tab) -> None:
    view = tab.open("quarantine/user")
    how = view.get_by_role("region", name="How to bring them in")
    expect(how).to_contain_text("replay_quarantine")
    how.get_by_role("link", name="sf_user_pipeline").click()
    expect(tab.page).to_have_url(re.compile("/dags/sf_user_pipeline"))


def test_an_object_without_quarantine_says_so(tab: Tab) -> None:
    """The answer is another than Airflow's: the only object with data has records in quarantine."""

    def answer(route: Route) -> None:
        found = route.fetch().json()
        route.fulfill(json={**found, "entries": [], "total": 0, "reasons": {}, "states": {}})

    tab.page.route(re.compile(r"/api/user/quarantine"), answer)
    view = tab.open("quarantine/user")
    expect(view.get_by_text("Nothing is in quarantine")).to_be_visible()
