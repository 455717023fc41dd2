"""The page can be used by keyboard, with a screen reader, in both themes, on a narrow screen, and enlarged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Tab

pytestmark = pytest.mark.browser

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
VIEWS = {
    "overview": "overview",
    "search": "record/user?q=a",
    "record": "record/user/0055e0000000007AAA?at=2026-01-05T18:30:00Z",
    "changes": "changes/user",
    "quarantine": "quarantine/user",
    "nothing": "record/user/0055e00000ZZZZZ",
}
READY = ".stats, .more, .nothing, [role=alert]"


def show(tab: Tab, view: str, **options: Any) -> None:
    tab.open(VIEWS[view], **options)
    expect(tab.view.locator(READY).first).to_be_visible()
    expect(tab.view.locator(".loading, .stale")).to_have_count(0)


def serious(tab: Tab) -> list[tuple[str, list[str]]]:
    """What axe finds in the page as it is."""
    found = tab.frame.evaluate("axe.run({resultTypes: ['violations']})")
    assert found["passes"], "axe looked at nothing"
    return [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(tab: Tab, view: str, theme: str) -> None:
    show(tab, view, theme=theme)
    tab.frame.evaluate(AXE.read_text(encoding="utf-8"))
    assert serious(tab) == []


@pytest.mark.parametrize("view", VIEWS)
def test_narrow_or_enlarged_it_scrolls_in_one_direction_only(tab: Tab, view: str) -> None:
    show(tab, view)
    tab.frame.evaluate("document.documentElement.style.fontSize = '200%'")
    assert not tab.is_too_wide()
    # Airflow's own navigation takes 64 pixels: the page has 360, as on a telephone without it.
    show(tab, view, width=360 + 64, height=740)
    assert tab.frame.evaluate("document.documentElement.clientWidth") <= 360
    assert not tab.is_too_wide()


def test_dark_mode_follows_airflow_while_the_page_is_open(tab: Tab) -> None:
    view = tab.open(theme="light")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = tab.frame.evaluate(background)
    tab.page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    expect(view.locator("html")).to_have_class("dark")
    assert tab.frame.evaluate(background) != light
    tab.page.evaluate("document.documentElement.classList.replace('dark', 'light')")
    expect(view.locator("html")).to_have_class("light")
    assert tab.frame.evaluate(background) == light


def test_dark_mode_is_there_from_the_start(tab: Tab) -> None:
    view = tab.open(theme="dark")
    expect(tab.page.locator("html")).to_have_class("dark")
    expect(view.locator("html")).to_have_class("dark")
    outer = tab.page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--chakra-colors-bg').trim()"
    )
    assert tab.frame.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--bg').trim()") == outer


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(tab: Tab) -> None:
    view = tab.open("changes/user")
    expect(view.get_by_role("table", name="Changes, newest first")).to_be_visible()
    view.get_by_role("link", name="Skip to the content").focus()
    tab.page.keyboard.press("Enter")
    expect(view.locator("main")).to_be_focused()
    seen = []
    for _ in range(9):
        tab.page.keyboard.press("Tab")
        seen.append(
            tab.frame.evaluate(
                "document.activeElement.labels?.[0]?.innerText.split('\\n')[0] ?? document.activeElement.innerText"
            )
        )
    assert seen[0].startswith("Object")
    assert seen[1].startswith("Since")
    ring = tab.frame.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring != "none"


def test_views_have_landmarks_and_one_heading(tab: Tab) -> None:
    for view in VIEWS:
        show(tab, view)
        for landmark in ("main", "navigation", "banner"):
            assert tab.view.get_by_role(landmark).count() >= 1, (view, landmark)  # type: ignore[arg-type]
        expect(tab.view.locator("h1")).to_have_count(1)


def test_who_wants_less_motion_gets_none(tab: Tab) -> None:
    tab.page.emulate_media(reduced_motion="reduce")
    tab.open()
    moving = """[...document.querySelectorAll("*")].map((one) => getComputedStyle(one)).filter(
        (style) => style.animationName !== "none" || parseFloat(style.transitionDuration) > 0).length"""
    assert tab.frame.evaluate(moving) == 0
