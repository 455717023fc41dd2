"""The overview of a lake in which the default scenario has been replayed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FrameLocator, Locator, expect

from tests.browser.conftest import Tab

pytestmark = pytest.mark.browser


def card(view: FrameLocator, name: str = "User") -> Locator:
    return view.get_by_role("region", name=re.compile(f"^{name}"))


def test_the_card_of_an_object_says_whether_it_can_be_trusted(tab: Tab) -> None:
    user = card(tab.open())
    expect(user.get_by_role("heading", level=2)).to_contain_text(re.compile(r"Late by \d+ d"))
    expect(user).to_contain_text("keeps the history of Division, Audit phase")
    told = user.locator("dl.stats")
    for text in (
        "2026-01-06 00:00",
        "expected 4,000 to 6,000",
        "success",
        "of the org's daily limit",
        "of the last run",
    ):
        expect(told).to_contain_text(text)
    expect(told.locator(".stat", has_text="Records now")).to_contain_text("5,006")
    expect(told.locator(".stat", has_text="Quarantined").get_by_role("link")).to_have_text("2")
    expect(user).to_contain_text("No deadline missed")


def test_charts_have_the_same_numbers_as_a_table(tab: Tab) -> None:
    user = card(tab.open())
    figure = user.get_by_role("figure").filter(has_text="Changes per run")
    expect(figure.locator("canvas")).to_be_visible()
    figure.get_by_text("The same as a table").click()
    rows = figure.get_by_role("row")
    expect(rows).to_have_count(5)
    expect(rows.nth(1).get_by_role("cell").nth(1)).to_have_text("5,007")


def test_charts_are_read_by_keyboard(tab: Tab) -> None:
    user = card(tab.open())
    chart = user.get_by_role("group", name=re.compile("Record count"))
    chart.focus()
    tab.page.keyboard.press("Home")
    expect(user.get_by_text("Up to 2026-01-05 06:00 UTC: 5,007 records (expected 4,000 to 6,000)")).to_be_visible()
    tab.page.keyboard.press("ArrowRight")
    expect(user.get_by_text("Up to 2026-01-05 12:00 UTC: 5,007 records")).to_be_visible()


def test_links_into_airflow_open_in_the_whole_window(tab: Tab) -> None:
    user = card(tab.open())
    user.locator("dl.stats").get_by_role("link", name=re.compile("ago")).click()
    expect(tab.page).to_have_url(re.compile(r"/dags/sf_user_pipeline/runs/manual__2026-01-06"))
    expect(tab.page.get_by_text("sf_user_pipeline").first).to_be_visible()


def test_an_object_without_data_says_what_to_do(tab: Tab) -> None:
    account = card(tab.open(), "Account")
    expect(account).to_contain_text("No data yet")
    expect(account).to_contain_text("Switch the pipeline on, or trigger it")
