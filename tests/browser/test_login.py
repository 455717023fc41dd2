"""The way in: Airflow's own login form, Airflow's navigation, and nothing without a session."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import FRAME, Tab, keep_picture, log_in, new_context
from tests.browser.site import Site

pytestmark = pytest.mark.browser


def test_login_and_navigation_lead_to_the_page(browser: Browser, site: Site) -> None:
    site.show("full")
    context = new_context(browser)
    page = context.new_page()
    page.goto(site.url)
    expect(page.locator("input[name=password]")).to_be_visible()
    log_in(page, site)
    page.get_by_role("link", name="Salesforce history").click()
    expect(page).to_have_url(re.compile("/plugin/salesforce-history"))
    expect(page.frame_locator(FRAME).get_by_role("heading", level=1)).to_have_text("Overview")
    keep_picture(page, "navigation")
    context.close()


@pytest.mark.parametrize("path", ["", "assets/app.js", "api/overview", "api/user/records", "api/user/changes.csv"])
def test_without_a_session_nothing_is_told(browser: Browser, site: Site, path: str) -> None:
    context = new_context(browser)
    answer = context.request.get(f"{site.url}/salesforce-history/{path}")
    assert answer.status == 401
    assert "Lovelace" not in answer.text()
    context.close()


def test_a_session_that_ends_is_told_with_a_way_to_log_in(browser: Browser, site: Site) -> None:
    context = new_context(browser)
    tab = Tab(context.new_page(), site)
    log_in(tab.page, site)
    view = tab.open("record/user")
    context.clear_cookies()
    view.get_by_label("Search by").fill("Ada")
    expect(view.get_by_role("alert")).to_contain_text("Your Airflow session has ended")
    keep_picture(tab.page, "session ended")
    view.get_by_role("link", name="Log in").click()
    expect(tab.page.locator("input[name=password]")).to_be_visible()
    context.close()


def test_a_view_is_kept_in_airflows_address(tab: Tab) -> None:
    view = tab.open()
    view.get_by_role("navigation", name="Views").get_by_role("link", name="Quarantine").click()
    expect(view.get_by_role("heading", level=1)).to_have_text("User quarantine")
    expect(tab.page).to_have_url(re.compile(r"/plugin/salesforce-history#/quarantine"))
    tab.page.go_back()
    expect(view.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(tab.page).to_have_url(re.compile(r"/plugin/salesforce-history#/overview"))
    tab.page.go_forward()
    expect(view.get_by_role("heading", level=1)).to_have_text("User quarantine")
    tab.page.reload()
    expect(view.get_by_role("heading", level=1)).to_have_text("User quarantine")
