"""When there is nothing to show, or no answer: what happened, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Tab

pytestmark = pytest.mark.browser

Lake = Callable[[str], None]


def test_an_empty_lake_says_what_to_do(tab: Tab, lake: Lake) -> None:
    lake("empty")
    view = tab.open()
    expect(view.get_by_role("heading", name="There is no history yet")).to_be_visible()
    expect(view.get_by_text("What to do:").first).to_be_visible()
    view.get_by_role("link", name=re.compile("^Open sf_")).click()
    expect(tab.page).to_have_url(re.compile("/dags/sf_"))


@pytest.mark.parametrize("place", ["record/user", "changes/user", "quarantine/user"])
def test_the_other_views_of_an_empty_lake_say_so_too(tab: Tab, lake: Lake, place: str) -> None:
    lake("empty")
    view = tab.open(place)
    expect(view.locator(".nothing, .notice").first).to_be_visible()
    expect(view.locator("main")).not_to_contain_text("undefined")


@pytest.mark.parametrize("view", ["record", "changes", "quarantine"])
def test_an_object_without_data_is_no_error_and_not_all_well(tab: Tab, view: str) -> None:
    page = tab.open(f"{view}/account")
    expect(page.get_by_role("heading", name="Nothing is known of Account yet")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_label("Object").select_option("user")
    expect(page.get_by_role("heading", level=1)).to_contain_text("User")
    page.get_by_label("Object").select_option("account")
    page.get_by_role("link", name="Open sf_account_pipeline").click()
    expect(tab.page).to_have_url(re.compile("/dags/sf_account_pipeline"))


def test_a_lake_that_cannot_be_reached_is_told(tab: Tab, lake: Lake) -> None:
    lake("broken")
    view = tab.open("record/user")
    expect(view.get_by_role("alert")).to_contain_text("What to do:")
    lake("full")
    view.get_by_role("button", name="Try again").click()
    expect(view.locator(".results li").first).to_be_visible()


def test_an_object_that_does_not_exist_is_told(tab: Tab) -> None:
    view = tab.open("changes/nonsense")
    expect(view.get_by_role("alert")).to_contain_text("Choose one of: account, user")


def test_what_cannot_be_asked_is_told(tab: Tab) -> None:
    view = tab.open("changes/user?since=yesterday")
    expect(view.get_by_role("alert")).to_contain_text("This cannot be asked")
    expect(view.get_by_role("alert")).to_contain_text("since")
    view.get_by_role("button", name="Reset").click()
    expect(view.get_by_role("heading", name="From → to: Division")).to_be_visible()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (503, json.dumps({"error": "The catalog is away.", "remedy": "Wait for it."}), "Wait for it."),
        (500, "<h1>Internal Server Error</h1>", "The server answered 500."),
        (200, "no JSON", "The server answered 200."),
    ],
)
def test_answers_that_are_none_are_told(tab: Tab, status: int, body: str, told: str) -> None:
    def answer(route: Route) -> None:
        route.fulfill(status=status, body=body)

    tab.page.route("**/api/overview", answer)
    view = tab.open()
    expect(view.get_by_role("alert")).to_contain_text(told)
    tab.page.unroute("**/api/overview")
    view.get_by_role("button", name="Try again").click()
    expect(view.get_by_role("heading", level=1)).to_have_text("Overview")
