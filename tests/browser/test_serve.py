"""``feedstore serve`` in a real browser."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from browser.conftest import wait_until_live
from cli.running import start
from feedstore import Activity, connect

NAMES = ["feed:bob", "feed:<b>eve</b>", "user:ann"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with some timelines."""
    url = f"sqlite:///{tmp_path / 'feeds.db'}"
    with connect(url) as backend:
        like = Activity("ann", "like", "photo:7")
        backend.activity_storage().add(like)
        backend.timeline_storage().add_to_many(NAMES, [like])
    return url


@pytest.fixture
def served(url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it printed."""
    process = start("serve", "--store", url, "--port", "0")
    assert process.stdout is not None
    printed = [process.stdout.readline() for _ in range(3)]
    assert printed[0] == f"serving {url}, namespace default\n"
    address = re.fullmatch(r"open (http://127\.0\.0\.1:\d+/\?token=[\w-]{32})\n", printed[1])
    assert address is not None
    yield process, address[1]
    process.kill()
    process.communicate()


def test_who_has_the_address_sees_the_store(
    served: tuple[subprocess.Popen[str], str], context: BrowserContext, url: str
) -> None:
    page = context.new_page()
    page.goto(served[1])
    assert "token" not in page.url
    assert page.locator(".keys a").all_inner_texts() == sorted(NAMES)
    page.get_by_role("link", name=NAMES[1]).click()
    wait_until_live(page)
    assert page.locator("h1").inner_text() == NAMES[1]
    page.locator(".entry", has_text="photo:7").wait_for()
    with connect(url) as backend:
        comment = Activity("cem", "comment", "photo:8")
        backend.activity_storage().add(comment)
        backend.timeline_storage().add(NAMES[1], comment)
    page.locator(".entry", has_text="photo:8").wait_for()


def test_who_has_not_sees_nothing(served: tuple[subprocess.Popen[str], str], context: BrowserContext) -> None:
    root = served[1].partition("?")[0]
    for path in ("", "?key=feed:bob", "?token=x", "?token=", "timeline?key=feed:bob", "events?key=feed:bob"):
        answer = context.request.get(f"{root}{path}")
        assert answer.status == 403
        assert "ann" not in answer.text()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 0)])
def test_it_leaves_when_it_is_told_to(
    served: tuple[subprocess.Popen[str], str], context: BrowserContext, number: signal.Signals, status: int
) -> None:
    process, address = served
    page = context.new_page()
    page.goto(f"{address}&key=feed:bob")
    wait_until_live(page)
    process.send_signal(number)
    _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (status, "")


def test_a_port_that_is_taken_is_said_so(served: tuple[subprocess.Popen[str], str], url: str) -> None:
    taken = re.search(r":(\d+)/", served[1])
    assert taken is not None
    result = subprocess.run(
        [sys.executable, "-m", "feedstore", "serve", "--store", url, "--port", taken[1]],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert "Address already in use" in result.stderr
    assert result.stderr.count("\n") == 1
