"""One Airflow and one Chromium for all tests; each test has a tab of its own, and is told what went wrong in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Frame,
    FrameLocator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from local.airflow_home import PROJECT
from tests.browser.chromium import FLAGS, NoChromium, chromium
from tests.browser.site import Site
from tests.kept_database import with_database

PICTURES = PROJECT / "build" / "browser"
#: How long a condition may take on a machine that is busy with other tests, milliseconds.
PATIENCE = 30_000
FRAME = 'iframe[title="Salesforce history"]'


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    try:
        path = chromium()
    except NoChromium as problem:
        pytest.skip(str(problem))
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An Airflow that runs over a lake with the default scenario; not started where there is no browser."""
    running = Site(with_database(tmp_path_factory.mktemp("site")))
    running.fill()
    running.up()
    yield running
    running.down()


@pytest.fixture(scope="session")
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser with a login, which came about by Airflow's own form."""
    made = new_context(browser)
    page = made.new_page()
    log_in(page, site)
    page.close()
    yield made
    made.close()


def new_context(browser: Browser) -> BrowserContext:
    """A browser without cookies."""
    made = browser.new_context(locale="en-US", accept_downloads=True, color_scheme="light")
    made.set_default_timeout(PATIENCE)
    return made


def log_in(page: Page, site: Site) -> None:
    """Log in as a person does."""
    page.goto(site.url)
    name, password = site.login
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Salesforce history")).to_be_visible()


class Tab:
    """A tab of the browser, and what has gone wrong in it."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.wrong: list[str] = []
        page.on("pageerror", self._error)
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", self._console)
        page.on("request", self._request)

    def open(
        self, view: str = "overview", *, theme: str = "light", width: int = 1366, height: int = 900
    ) -> FrameLocator:
        """Open a view inside Airflow. Where Airflow shows the page already, only the page is loaded anew.

        :param view: what follows #/ in the address.
        :param theme: light or dark, as Airflow stores it.
        :return: the page in its frame, when the view has its heading.
        """
        self.page.set_viewport_size({"width": width, "height": height})
        if self.page.url.startswith(f"{self.site.url}/plugin/salesforce-history"):
            frame = self.frame
            frame.goto("about:blank")
            frame.goto(f"{self.site.url}/salesforce-history/#/{view}")
        else:
            self.page.goto(f"{self.site.url}/plugin/salesforce-history#/{view}")
        expect(self.view.locator("h1")).to_be_visible()
        # Airflow hears of it as if it had been chosen in another window.
        self.frame.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        expect(self.page.locator("html")).to_have_class(theme)
        expect(self.view.locator("html")).to_have_class(theme)
        return self.view

    @property
    def view(self) -> FrameLocator:
        """The page in its frame."""
        return self.page.frame_locator(FRAME)

    @property
    def frame(self) -> Frame:
        """The frame itself, to run scripts in."""
        found = self.page.frame(url=re.compile(r"/salesforce-history/"))
        assert found is not None
        return found

    def is_too_wide(self) -> bool:
        """Whether the page itself, not a table in it, scrolls sideways."""
        root = "document.documentElement"
        return bool(self.frame.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))

    def _console(self, message: ConsoleMessage) -> None:
        ours = "/salesforce-history/" in message.location.get("url", "")
        refused = "Content Security Policy" in message.text
        if refused or (ours and message.type == "error" and "status of" not in message.text):
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        try:
            frame = request.frame
        except Error:  # the document that asks is being left
            return
        if "/salesforce-history/" in frame.url and not request.url.startswith((self.site.url, "data:", "blob:")):
            self.wrong.append(f"asks another host: {request.url}")

    def _error(self, error: Error) -> None:
        # Airflow's own pages have errors too: its editor asks a CDN.
        if "/salesforce-history/" in (error.stack or ""):
            self.wrong.append(f"error: {error.stack}")


@pytest.fixture(scope="session")
def one_tab(context: BrowserContext, site: Site) -> Tab:
    """The tab that all tests use in turn: Airflow's own application is started once."""
    return Tab(context.new_page(), site)


@pytest.fixture
def tab(one_tab: Tab, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """The tab, over the full lake. A picture of it is kept, and nothing may have gone wrong in it."""
    one_tab.site.show("full")
    one_tab.wrong.clear()
    yield one_tab
    keep_picture(one_tab.page, request.node.name)
    one_tab.page.unroute_all()
    assert one_tab.wrong == []


@pytest.fixture
def lake(tab: Tab) -> Iterator[Callable[[str], None]]:
    """Changes the lake that Airflow sees: full, empty or broken."""
    yield tab.site.show
    tab.site.show("full")


def keep_picture(page: Page, name: str) -> Path:
    """Keep what a tab shows under build/browser."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}.png"
    page.screenshot(path=path)
    return path
