"""Who moved between which values, and the CSV of it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Tab

pytestmark = pytest.mark.browser


def downloaded(tab: Tab, folder: Path) -> list[dict[str, str]]:
    with tab.page.expect_download() as waiting:
        tab.view.get_by_role("link", name="Download CSV").click()
    path = folder / "changes.csv"
    waiting.value.save_as(path)
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def test_the_matrix_filters_the_list_and_the_csv(tab: Tab, tmp_path: Path) -> None:
    view = tab.open("changes/user")
    cell = view.get_by_role("button", name=re.compile("^North to Northwest: 1 record$"))
    cell.click()
    expect(view.get_by_role("heading", name="Every change from North to Northwest")).to_be_visible()
    rows = view.get_by_role("table", name="Changes, newest first").locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Ada Lovelace")
    assert [(row["name"], row["from"], row["to"]) for row in downloaded(tab, tmp_path)] == [
        ("Ada Lovelace", "North", "Northwest")
    ]
    rows.get_by_role("link").click()
    expect(view.get_by_role("heading", level=1)).to_have_text("Ada Lovelace")
    expect(view.get_by_text("As it was on 2026-01-05 07:12:00 UTC")).to_be_visible()


def test_moves_to_no_value_are_filtered_too(tab: Tab, tmp_path: Path) -> None:
    view = tab.open("changes/user")
    view.locator("select[name=to]").select_option("")
    expect(view.get_by_role("heading", name="Every change to empty")).to_be_visible()
    rows = view.get_by_role("table", name="Changes, newest first").locator("tbody tr")
    expect(rows.filter(has_text="Alan Turing")).to_have_count(1)
    listed = rows.count()
    read = downloaded(tab, tmp_path)
    assert len(read) == listed
    assert {row["to"] for row in read} == {""}


def test_the_csv_has_every_change_and_the_list_comes_page_by_page(tab: Tab, tmp_path: Path) -> None:
    view = tab.open("changes/user")
    rows = view.get_by_role("table", name="Changes, newest first").locator("tbody tr")
    expect(rows).to_have_count(50)
    told = view.get_by_role("status").filter(has_text=re.compile(r"\d+ changes between")).inner_text()
    view.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(100)
    assert len(downloaded(tab, tmp_path)) == int(told.split()[0].replace(",", ""))


def test_a_formula_in_a_name_is_no_formula_in_the_csv(tab: Tab, tmp_path: Path) -> None:
    tab.open("changes/user")
    texts = [text for row in downloaded(tab, tmp_path) for text in row.values()]
    assert any("cmd|" in text for text in texts)
    assert not [text for text in texts if text.startswith(("=", "+", "-", "@", "\t"))]


def test_another_field_and_another_period(tab: Tab) -> None:
    view = tab.open("changes/user")
    view.locator("select[name=field]").select_option("audit_phase__c")
    expect(view.get_by_role("heading", name=re.compile("From → to: Audit phase"))).to_be_visible()
    expect(view.get_by_text(" (the newest):")).to_be_visible()
    view.get_by_role("button", name="90 days").click()
    expect(view.get_by_role("group", name="Up to the same end:")).to_be_visible()
    expect(view.get_by_role("button", name="90 days")).to_have_attribute("aria-pressed", "true")
    expect(view.get_by_role("heading", name=re.compile("From → to: Audit phase"))).to_be_visible()
    view.get_by_label("Since (UTC)").fill("2026-01-06T00:00")
    view.get_by_label("Since (UTC)").blur()
    # The preset has set the end, right after the newest version.
    expect(view.get_by_role("alert")).to_contain_text("since must come first")
    view.get_by_role("button", name="Reset").click()
    expect(view.get_by_role("heading", name="From → to: Division")).to_be_visible()


def test_deletions_are_a_field_too(tab: Tab) -> None:
    view = tab.open("changes/user")
    view.locator("select[name=field]").select_option("is_deleted")
    expect(view.get_by_role("heading", name="From → to: Is deleted")).to_be_visible()
    expect(view.get_by_role("button", name=re.compile("^no to yes: "))).to_be_visible()


def test_a_matrix_of_many_values_shows_the_heaviest(tab: Tab) -> None:
    """Numbers are shown as they are; the answer is another than Airflow's, since no such field is in the lake."""

    def answer(route: Route) -> None:
        found = route.fetch().json()
        flows = [{"from": n + 0.123456789, "to": None, "records": n + 1, "changes": n + 1} for n in range(50)]
        route.fulfill(json={**found, "flows": flows})

    tab.page.route(re.compile(r"/api/user/changes\?|/api/user/changes$"), answer)
    view = tab.open("changes/user")
    matrix = view.get_by_role("table", name="Records that moved between")
    expect(matrix.locator("tbody tr")).to_have_count(40)
    expect(matrix.get_by_role("rowheader", name="49.123456789", exact=True)).to_be_visible()
    expect(matrix.get_by_role("rowheader", name="9.123456789", exact=True)).to_have_count(0)
    expect(view.get_by_text("Only the 40 values that most records left")).to_be_visible()


def test_values_over_time_as_chart_and_table(tab: Tab) -> None:
    view = tab.open("changes/user")
    view.get_by_role("button", name="1 day").click()
    expect(view.get_by_role("button", name="1 day")).to_have_attribute("aria-pressed", "true")
    expect(view.locator(".stale")).to_have_count(0)
    figure = view.get_by_role("figure").filter(has_text="Over time: Division")
    expect(figure.locator("canvas")).to_be_visible()
    figure.get_by_text("The same as a table").click()
    expect(figure.get_by_role("columnheader", name="Northwest")).to_be_visible()
    assert figure.get_by_role("row").count() > 10
