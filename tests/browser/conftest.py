"""A real browser, a site of one live page in a process of its own, and writes to its store."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

import browser_programs
from browser.cutting import CuttingProxy
from feedstore import Activity, connect
from feedstore.storage import Backend
from live.http import ask
from polling import poll_until
from servers.ports import LOOPBACK, free_port
from servers.process import ServerError, ServerProcess

# Playwright's own list in the first lines, because Chromium takes the last list alone. The last two features load a
# page for the address bar of each window, which takes longer than most tests.
_DISABLED_FEATURES = (
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades", "LensOverlay"),
    *("HttpsFirstBalancedModeAutoEnable", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning"),
    *("AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled"),
    "PreconnectToSearch",
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),
)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", f"--disable-features={','.join(_DISABLED_FEATURES)}"),
)
START = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
MILLISECONDS = 30_000.0


class LivePageSite:
    """A site of one live page over a SQLite file. A proxy in front of it can cut its connections."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'feeds.db'}"
        self._folder = folder
        self._port = free_port()
        self.start()
        self.proxy = CuttingProxy(self._port)
        self.address = f"http://{LOOPBACK}:{self.proxy.port}"
        self.backend: Backend = connect(self.url)

    def start(self) -> None:
        """Start the process, again on the same port."""
        command = [sys.executable, "-m", "browser.live_site", self.url, str(self._port)]
        self._process = ServerProcess(command, self._folder)
        self._process.wait_until_ready(lambda: _answers(self._port))

    def clear(self) -> None:
        """Remove the data of a test."""
        self.proxy.mend()
        if not _answers(self._port):
            self.start()
        for storage in (self.backend.timeline_storage(), self.backend.activity_storage()):
            storage.flush()

    def kill(self) -> None:
        """End the process as a crash would."""
        self._process.kill()

    def stop(self) -> None:
        """End the process and the proxy."""
        self.backend.close()
        self.proxy.close()
        self._process.stop()

    def add(self, *numbers: int, reader: str = "bob", text: str | None = None) -> None:
        """Let ann like photos, a second apart, and deliver the activities."""
        context = None if text is None else {"text": text}
        activities = [
            Activity("ann", "liked", f"photo:{one}", time=START + timedelta(seconds=one), extra_context=context)
            for one in numbers
        ]
        self.backend.activity_storage().add_many(activities)
        self.backend.timeline_storage().add_many(f"feed:{reader}", activities)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    # Its scope is its own tests: playwright runs an event loop in this thread, and other tests run theirs.
    program = browser_programs.find_browser()
    if program is None:
        raise ServerError(
            f"Chromium is not on PATH. `make test` installs it; {browser_programs.VARIABLE}=/path names one to use."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def started_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePageSite]:
    """The site. Its start takes longer than most tests."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        site = LivePageSite(tmp_path_factory.mktemp("site"))
        yield site
        site.stop()


@pytest.fixture
def site(started_site: LivePageSite) -> LivePageSite:
    """The site without data."""
    started_site.clear()
    return started_site


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window of its own, with no cookies."""
    context = browser.new_context(viewport={"width": 900, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(MILLISECONDS)
    yield context
    context.close()


@pytest.fixture
def complaints() -> list[str]:
    """The errors of the page's script and of the browser's policies."""
    return []


@pytest.fixture
def page(context: BrowserContext, site: LivePageSite, complaints: list[str]) -> Page:
    """A live page."""
    page = new_page(context, complaints)
    page.goto(site.address)
    wait_until_live(page)
    return page


def new_page(context: BrowserContext, complaints: list[str]) -> Page:
    """Return a page whose errors are added to ``complaints``."""
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    return page


def wait_until_live(page: Page) -> None:
    """Wait until the page says that it receives new entries."""
    page.wait_for_selector('.status[data-state="live"]')


def photos(page: Page) -> list[int]:
    """The numbers of the photos that the page shows, from the top."""
    shown: list[str] = page.locator(".entry .object").all_inner_texts()
    return [int(text.removeprefix("photo:")) for text in shown]


def wait_for_photos(page: Page, expected: list[int]) -> None:
    """Wait until the page shows these entries."""
    wait_for(page, f"document.querySelectorAll('.entry').length >= {len(expected)}")
    assert photos(page) == expected


def wait_for(page: Page, expression: str) -> None:
    """Wait until an expression is true on the page.

    Playwright's own wait evaluates a str inside the page, which the page's policy forbids.
    """
    poll_until(lambda: bool(page.evaluate(expression)), MILLISECONDS / 1000, expression)


def poll_while(page: Page, condition: Callable[[], bool]) -> None:
    """Let the browser go on while a condition is true."""
    deadline = time.monotonic() + MILLISECONDS / 1000
    while condition():
        assert time.monotonic() < deadline
        page.evaluate("0")


def _answers(port: int) -> bool:
    try:
        return ask(port, "/").status == 200
    except OSError:
        return False
