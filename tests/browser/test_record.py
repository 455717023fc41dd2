"""Search, the timeline of versions, and the record as it was."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Locator, Route, expect

from tests.browser.conftest import Tab

pytestmark = pytest.mark.browser

ADA = "record/user/0055e0000000001AAA"
ALAN = "record/user/0055e0000000003AAA"
BARBARA = "record/user/0055e0000000006AAA"
DONALD = "record/user/0055e0000000007AAA"


def band(view: FrameLocator, name: str) -> Locator:
    return view.get_by_role("group", name=re.compile(rf"^{name}: \d+ parts?"))


def parts(view: FrameLocator, name: str) -> Locator:
    return band(view, name).get_by_role("button")


def as_it_was(view: FrameLocator) -> Locator:
    return view.get_by_role("region", name=re.compile("^As it (was|is)"))


def go_to(view: FrameLocator, moment: str) -> None:
    box = view.get_by_label("As of (UTC)")
    box.fill(moment)
    box.press("Enter")
    box.blur()


def test_search_finds_as_one_types_and_is_walked_by_keyboard(tab: Tab) -> None:
    view = tab.open("record/user")
    box = view.get_by_label("Search by")
    box.press_sequentially("LOVEL")
    expect(view.get_by_role("status").filter(has_text="1 record found for LOVEL")).to_be_attached()
    expect(view.locator(".results li")).to_have_count(1)
    box.press("ArrowDown")
    expect(view.get_by_role("link", name=re.compile("Ada Lovelace"))).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(view.get_by_role("heading", level=1)).to_have_text("Ada Lovelace")
    view.get_by_role("link", name="Back to the results").click()
    expect(view.get_by_label("Search by")).to_have_value("LOVEL")
    expect(view.locator(".results li")).to_have_count(1)


@pytest.mark.parametrize("identity", ["0055e0000000002AAA", "0055e0000000002"])
def test_search_takes_an_id_of_15_or_18_characters(tab: Tab, identity: str) -> None:
    view = tab.open("record/user")
    view.get_by_label("Search by").fill(identity)
    expect(view.locator(".results li")).to_have_count(1)
    expect(view.locator(".results li")).to_contain_text("Grace Hopper")


def test_a_long_list_comes_page_by_page(tab: Tab) -> None:
    view = tab.open("record/user")
    expect(view.locator(".results li")).to_have_count(50)
    view.get_by_role("button", name="Show more").click()
    expect(view.locator(".results li")).to_have_count(100)


def test_what_nobody_is_called_is_said_to_be_not_found(tab: Tab) -> None:
    view = tab.open("record/user")
    view.get_by_label("Search by").fill("nobody is called that")
    expect(view.get_by_text("Nothing is found for")).to_be_visible()


def test_the_timeline_is_to_scale(tab: Tab) -> None:
    view = tab.open(ADA)
    expect(parts(view, "Division")).to_have_text(["North", "Northwest", "North"])
    expect(parts(view, "Audit.*")).to_have_text(["Phase1"])
    boxes = [parts(view, "Division").nth(place).bounding_box() for place in range(2)]
    assert boxes[0]
    assert boxes[1]
    # Northwest lasted from 07:12 to 14:30; North before it from the first user's creation at 00:01.
    assert boxes[1]["width"] / boxes[0]["width"] == pytest.approx(438 / 431, rel=0.03)


def test_parts_tell_values_and_dates_to_mouse_and_keyboard(tab: Tab) -> None:
    view = tab.open(ADA)
    parts(view, "Division").nth(1).hover()
    expect(view.locator(".told")).to_contain_text("Division: Northwest")
    expect(view.locator(".told")).to_contain_text("2026-01-05 07:12:00 UTC to 2026-01-05 14:30:00 UTC (7 h 18 min)")
    parts(view, "Division").first.focus()
    tab.page.keyboard.press("ArrowRight")
    expect(parts(view, "Division").nth(1)).to_be_focused()
    expect(
        view.get_by_role("button", name=re.compile("Division: Northwest, 2026-01-05 07:12:00 UTC to"))
    ).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(as_it_was(view)).to_contain_text("As it was on 2026-01-05 07:12:00 UTC")


def test_a_version_of_five_seconds_can_be_seen(tab: Tab) -> None:
    view = tab.open("record/user/0055e0000900007AAA")
    expect(parts(view, "Division")).to_have_text(["North", "West", "North"])
    box = parts(view, "Division").nth(1).bounding_box()
    assert box
    assert box["width"] >= 7
    expect(view.get_by_text("drawn wider than they lasted")).to_be_visible()


def test_values_are_told_apart_without_colour(tab: Tab) -> None:
    view = tab.open(ADA)
    look = "(part) => { const style = getComputedStyle(part); return `${style.backgroundImage} ${style.borderStyle}`; }"
    looks = [parts(view, "Division").nth(place).evaluate(look) for place in range(3)]
    assert looks[0] == looks[2]
    assert looks[0] != looks[1]


def test_the_date_shows_the_record_as_it_was(tab: Tab) -> None:
    view = tab.open(ADA)
    expect(as_it_was(view)).to_contain_text("As it is now")
    go_to(view, "2026-01-05T10:00:00")
    expect(as_it_was(view)).to_contain_text("As it was on 2026-01-05 10:00:00 UTC")
    expect(as_it_was(view)).to_contain_text("Northwest")
    expect(as_it_was(view)).to_contain_text("Version 2 of 3")
    go_to(view, "2026-01-04T10:00:00")
    expect(as_it_was(view)).to_contain_text("Nothing is known of it at that moment")
    view.get_by_role("button", name="Change after").click()
    expect(as_it_was(view)).to_contain_text("Version 1 of 3")
    expect(tab.page).to_have_url(re.compile(r"at=2026-01-05T00%3A01%3A00Z"))


def test_the_slider_is_moved_by_keyboard(tab: Tab) -> None:
    view = tab.open(ADA)
    slider = view.get_by_role("slider", name="As of")
    slider.focus()
    tab.page.keyboard.press("Home")
    expect(as_it_was(view)).to_contain_text("Nothing is known of it at that moment")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("before the first version"))
    for _ in range(3):
        tab.page.keyboard.press("PageUp")
    # A step of the slider is longer than a second here, so it stops at whole ones.
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^[-0-9]+ [:0-9]+ UTC, version 1$"))
    expect(as_it_was(view)).to_contain_text("North")
    tab.page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("version 3"))


def test_a_deletion_is_hatched_and_a_return_is_marked(tab: Tab) -> None:
    view = tab.open(DONALD)
    expect(parts(view, "State")).to_have_text(["v1", "deleted", "↻ returned"])
    expect(parts(view, "Division")).to_have_count(3)
    gone = parts(view, "Division").nth(1)
    assert "repeating-linear-gradient" in gone.evaluate("(part) => getComputedStyle(part).backgroundImage")
    go_to(view, "2026-01-05T18:30:00")
    expect(as_it_was(view)).to_contain_text("The record was deleted then")
    view.get_by_role("button", name="Change after").click()
    expect(as_it_was(view)).to_contain_text("With this version the record returned after a deletion")


def test_a_record_that_is_gone_says_so(tab: Tab) -> None:
    view = tab.open(BARBARA)
    expect(parts(view, "State")).to_have_text(["v1", "deleted"])
    expect(as_it_was(view)).to_contain_text("The record was deleted then")


def test_no_value_is_empty_not_a_text(tab: Tab) -> None:
    view = tab.open(ALAN)
    expect(parts(view, "Division")).to_have_text(["North", "empty", "Central"])
    go_to(view, "2026-01-05T12:00:00")
    expect(as_it_was(view).locator(".empty")).to_have_text("empty")


def test_the_observations_behind_a_version_are_marked_and_lead_to_their_runs(tab: Tab) -> None:
    view = tab.open(ADA)
    table = view.get_by_role("table", name="Observations")
    expect(table.locator("tbody tr")).to_have_count(3)
    expect(table.locator("tr.chosen")).to_have_count(1)
    parts(view, "Division").nth(1).click()
    expect(table.locator("tr.chosen")).to_contain_text("Northwest")
    place = table.get_by_role("columnheader").all_inner_texts().index("Changed in Salesforce")
    expect(table.locator("tbody tr").first.locator("th, td").nth(place)).to_contain_text(" UTC")
    table.get_by_text(re.compile(r"\d+ fields")).first.click()
    expect(table.locator(".all-fields").first).to_contain_text("lastmodifieddate")
    table.get_by_role("link", name=re.compile("2026-01-05 12:00")).click()
    expect(tab.page).to_have_url(re.compile(r"/dags/sf_user_pipeline/runs/manual__2026-01-05T12"))


def test_observations_that_wait_for_the_next_run_are_counted_over_all_pages(tab: Tab) -> None:
    """A page that cannot be gone on with says what to do. The answers are not Airflow's own: nothing waits there."""

    def answer(route: Route) -> None:
        if "/observations" not in route.request.url:
            found = route.fetch().json()
            waiting.extend({**one, "version": None, "opened_version": None} for one in found["observations"])
            route.fulfill(json={**found, "observations": waiting, "observations_next": "next", "pending": 3})
        elif "page=next" in route.request.url:
            route.fulfill(json={"observations": waiting[:1], "next": "last", "pending": 1})
        else:
            told = {"error": "A run has published since.", "remedy": "Open the record again."}
            route.fulfill(json=told, status=400)

    waiting: list[dict[str, Any]] = []
    tab.page.route(re.compile(r"/api/user/records/"), answer)
    view = tab.open(ADA)
    expect(view.get_by_text("At least 3 observations will be in the history after the next run.")).to_be_visible()
    view.get_by_role("button", name="Show more").click()
    expect(view.get_by_text("At least 4 observations will be in the history after the next run.")).to_be_visible()
    view.get_by_role("button", name="Show more").click()
    expect(view.get_by_role("alert")).to_contain_text("Open the record again.")


@pytest.mark.parametrize(
    ("identity", "told"), [("0055e00000ZZZZZ", "is not in the history"), ("nonsense", "allowed is a Salesforce Id")]
)
def test_a_record_that_was_never_seen_is_told(tab: Tab, identity: str, told: str) -> None:
    view = tab.open(f"record/user/{identity}")
    expect(view.get_by_role("alert")).to_contain_text(told)
    expect(view.get_by_role("alert")).to_contain_text("What to do:")
