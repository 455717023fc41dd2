"""One Airflow and one Chromium for all tests; each test has a tab of its own, and is told of whatever went wrong in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Frame,
    FrameLocator,
    Page,
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


@dataclass
class Tab:
    """A tab of the browser, and what has gone wrong in it."""

    page: Page
    site: Site
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self._note(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("console", self._console)
        self.page.on("request", self._request)

    def open(
        self, view: str = "overview", *, theme: str = "light", width: int = 1366, height: int = 900
    ) -> FrameLocator:
        """Open a view inside Airflow.

        :param view: what follows #/ in the address.
        :param theme: light or dark, as Airflow stores it.
        :return: the page in its frame, when the view has its heading.
        """
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.add_init_script(f"window.localStorage.setItem('theme', {theme!r})")
        self.page.goto(f"{self.site.url}/plugin/salesforce-history#/{view}")
        expect(self.view.locator("h1")).to_be_visible()
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

    def _console(self, message: ConsoleMessage) -> None:
        ours = "/salesforce-history/" in message.location.get("url", "")
        if "Content Security Policy" in message.text or (
            ours and message.type == "error" and "status of" not in message.text
        ):
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: object) -> None:
        try:
            frame, url = request.frame, request.url  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001  (a request of a page that is being left has no frame)
            return
        if "/salesforce-history/" in frame.url and not url.startswith((self.site.url, "data:", "blob:")):
            self.wrong.append(f"asks another host: {url}")

    def _note(self, text: str) -> None:
        # Airflow's editor asks a CDN at its start, and says so; that is no error of the page.
        if "salesforce-history" in text or "Monaco" not in text:
            self.wrong.append(text)


@pytest.fixture
def tab(context: BrowserContext, site: Site, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """A tab of its own over the full lake. A picture of it is kept, and nothing may have gone wrong in it."""
    site.show("full")
    made = Tab(context.new_page(), site)
    yield made
    keep_picture(made.page, request.node.name)
    made.page.close()
    assert made.wrong == []


@pytest.fixture
def lake(site: Site, tab: Tab) -> Iterator[Callable[[str], None]]:
    """Changes the lake that Airflow sees: full, empty or broken."""
    yield site.show
    site.show("full")


def keep_picture(page: Page, name: str) -> Path:
    """Keep what a tab shows under build/browser."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}.png"
    page.screenshot(path=path)
    return path
