"""``feedstore serve`` in a real browser."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page, Route
from starlette.types import Receive, Scope, Send

from browser.conftest import poll_while, wait_until_live
from cli.running import start
from feedstore import Activity, connect
from feedstore.cli.main import main
from feedstore.events import Event, connect_events
from feedstore.feeds import NotificationFeed
from feedstore.serve import new_viewer
from live.site import SiteServer

NAMES = ["feed:bob", "feed:<b>eve</b>", "user:ann"]


def fill(url: str) -> None:
    """Let a store hold some timelines, and no events."""
    with connect(url) as backend, connect_events(url) as events:
        backend.timeline_storage().flush()
        backend.activity_storage().flush()
        events.remove_source("app")
        like = Activity("ann", "like", "photo:7")
        backend.activity_storage().add(like)
        backend.timeline_storage().add_to_many(NAMES, [like])


@pytest.fixture(scope="module")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of the store."""
    url = f"sqlite:///{tmp_path_factory.mktemp('served') / 'feeds.db'}"
    fill(url)
    return url


@pytest.fixture
def url(shared_url: str) -> str:
    """The URL of the store, filled again."""
    fill(shared_url)
    return shared_url


@contextmanager
def serving(url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command, and return its process and the address that it printed."""
    process = start("serve", "--store", url, "--port", "0")
    try:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(3)]
        assert printed[0] == f"serving {url}, namespace default\n"
        address = re.fullmatch(r"open (http://127\.0\.0\.1:\d+/\?token=[\w-]{32})\n", printed[1])
        assert address is not None
        yield process, address[1]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def served(shared_url: str) -> Iterator[str]:
    """The address that the command printed. Its start takes longer than most tests."""
    with serving(shared_url) as (_, address):
        yield address


def test_who_has_the_address_sees_the_store(served: str, context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(served)
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


def page_of_events(context: BrowserContext, served: str) -> Page:
    """Return a new page that shows the events of the served store."""
    page = context.new_page()
    page.goto(served)
    page.get_by_role("link", name="Events").click()
    return page


def test_events_are_searched_and_followed(served: str, context: BrowserContext, url: str) -> None:
    with connect_events(url) as events:
        events.save_many(Event(str(number), "app", number, ["t"], f"<b>line {number}</b>") for number in range(30))
        events.save(Event("other", "app", 50, ["u"], "line"))
        page = page_of_events(context, served)
        page.get_by_label("Tags").fill("t")
        page.get_by_label("Pattern").fill("line [12]")
        page.get_by_role("button", name="Search").click()
        wait_until_live(page)
        assert page.locator(".entry").count() == 22
        events.save(Event("new", "app", 15.5, ["t"], "line 2"))
        events.save(Event("unseen", "app", 15.5, ["u"], "line 2"))
        events.save(Event("1", "app", 100, ["t"], "line 1, again"))
        page.locator(".entry", has_text="again").wait_for()
        texts = page.locator(".entry .text").all_inner_texts()
        assert texts[:2] == ["line 1, again", "<b>line 29</b>"]
        assert (len(texts), texts.index("line 2"), "<b>line 1</b>" in texts) == (23, 15, False)
        page.goto(page.url.partition("?")[0])
        wait_until_live(page)
        events.save(Event("old", "app", 0.5, (), "line of an older page"))
        events.save(Event("newest", "app", 200, (), "newest line"))
        page.locator(".entry", has_text="newest line").wait_for()
        assert page.locator(".entry").count() == 26
        older = page.get_by_role("button", name="Older events")
        assert older.evaluate("button => getComputedStyle(button).borderRadius") == "99px"
        older.click()
        page.locator(".entry").nth(33).wait_for()
        assert page.locator(".entry .text").all_inner_texts()[-2:] == ["line of an older page", "<b>line 0</b>"]
        page.get_by_label("Pattern").fill("(")
        page.get_by_role("button", name="Search").click()
        page.locator(".end", has_text="pattern").wait_for()


def test_an_older_event_that_is_saved_while_its_page_is_loaded_is_shown(
    served: str, context: BrowserContext, url: str
) -> None:
    held: list[Route] = []
    context.route("**/log/search?*cursor=*", lambda route: held.append(route))
    with connect_events(url) as events:
        events.save_many(Event(str(number), "app", number, (), f"line {number}") for number in range(30))
        page = page_of_events(context, served)
        wait_until_live(page)
        other = context.new_page()
        other.goto(page.url)
        wait_until_live(other)
        page.get_by_role("button", name="Older events").click()
        poll_while(page, lambda: not held)
        answer = held[0].fetch()
        events.save_many([Event("late", "app", 2.5, (), "line 2.5"), Event("new", "app", 30, (), "line 30")])
        other.locator(".entry", has_text="line 30").wait_for()
        page.evaluate("async () => { for (let i = 0; i < 3; i++) await (await fetch('assets/icon.svg')).text(); }")
        held[0].fulfill(response=answer)
        page.locator(".entry", has_text="line 30").wait_for()
        expected = [f"line {number}" for number in (*range(30, 2, -1), 2.5, 2, 1, 0)]
        assert page.locator(".entry .text").all_inner_texts() == expected


def test_a_long_page_of_events_drops_the_oldest_and_says_so(served: str, context: BrowserContext, url: str) -> None:
    context.route("**/log.js", serve_shortened_page)
    with connect_events(url) as events:
        events.save_many(Event(str(number), "app", number, (), f"line {number}") for number in range(30))
        page = page_of_events(context, served)
        wait_until_live(page)
        events.save_many(Event(str(number), "app", number, (), f"line {number}") for number in range(30, 40))
        page.locator(".end", has_text="left out").wait_for()
        page.locator(".entry", has_text="line 39").wait_for()
        assert page.locator(".entry .text").all_inner_texts() == [f"line {number}" for number in range(39, 11, -1)]
        # The next page would not follow the last event.
        assert page.get_by_role("button", name="Older events").is_hidden()


def serve_shortened_page(route: Route) -> None:
    """Answer with a script that shows 28 events at most."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace("MOST_SHOWN = 2000", "MOST_SHOWN = 28"))


def test_who_has_not_sees_nothing(served: str, context: BrowserContext) -> None:
    root = served.partition("?")[0]
    for path in (
        "",
        "?key=feed:bob",
        "?token=x",
        "?token=",
        "timeline?key=feed:bob",
        "events?key=feed:bob",
        "groups?key=feed:bob",
        "log",
        "log/search",
        "log/tail",
    ):
        answer = context.request.get(f"{root}{path}")
        assert answer.status == 403
        for hidden in ("ann", "sqlite", "feeds.db", "namespace"):
            assert hidden not in answer.text()


def test_a_notification_feed_has_groups_and_a_live_badge(served: str, context: BrowserContext, url: str) -> None:
    likes = [Activity(actor, "like", "photo:<7>") for actor in ("ann", "cem")]
    with connect(url) as backend:
        bell = NotificationFeed("bob", backend)
        bell.insert_activities(likes)
        bell.add(likes[0])
        page = context.new_page()
        page.goto(f"{served}&key={quote(bell.key)}")
        wait_until_live(page)
        page.locator(".groups li b", has_text="ann like photo:<7>").wait_for()
        assert page.locator(".groups .count").inner_text() == "1 unseen, 1 unread"
        assert page.title().startswith("(1) notification:{bob}")
        bell.add(likes[1])
        page.locator(".groups li b", has_text="cem and ann like photo:<7> (2)").wait_for()
        bell.mark_all(read=True)
        page.locator(".groups .count", has_text="0 unseen, 0 unread").wait_for()
        page.locator(".groups li span", has_text="cem and ann like photo:<7> (2)").wait_for()
        assert page.title().startswith("notification:{bob}")
    page.goto(f"{served.partition('?')[0]}?key=feed:bob")
    wait_until_live(page)
    assert page.locator(".groups").is_hidden()


def test_the_index_shows_how_much_it_shows_and_is_searched(served: str, context: BrowserContext, url: str) -> None:
    keys = sorted(f"many:{number:04}" for number in range(450))
    with connect(url) as backend:
        backend.timeline_storage().add_to_many(keys, [1])
    page = context.new_page()
    page.goto(served)
    everything = sorted([*NAMES, *keys])
    shown = []
    for expected in ("1 to 200 of 453 timelines", "201 to 400 of 453 timelines", "401 to 453 of 453 timelines"):
        assert page.locator(".count").inner_text() == expected
        shown += page.locator(".keys a").all_inner_texts()
        if len(shown) < len(everything):
            page.get_by_role("link", name="More").click()
            page.wait_for_url("**after=**")
    assert shown == everything
    assert page.get_by_role("link", name="More").count() == 0
    page.get_by_label("Search").fill("MANY:00")
    page.get_by_label("Order").select_option("z")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**search=MANY**")
    assert page.locator(".keys a").all_inner_texts() == sorted((key for key in keys if "many:00" in key), reverse=True)
    assert page.locator(".count").inner_text() == "100 timelines"
    page.get_by_label("Search").fill("none such")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**search=none**")
    assert page.locator(".count").inner_text() == "No timeline's key contains that text."


def _second_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    process.stdout.readline()
    return process.stdout.readline()


def see_the_site(context: BrowserContext, address: str, root: str) -> None:
    """Go through the site, and see that everything of it is found under a path."""
    page = context.new_page()
    failed: list[str] = []
    page.on("response", lambda answer: failed.append(f"{answer.status} {answer.url}") if answer.status > 399 else None)
    page.goto(address)
    assert page.url == f"{root}/"
    page.get_by_role("link", name=NAMES[0]).click()
    wait_until_live(page)
    page.locator(".entry", has_text="photo:7").wait_for()
    page.get_by_role("link", name="feedstore").click()
    page.locator(".keys").wait_for()
    assert page.url == f"{root}/"
    assert page.evaluate("getComputedStyle(document.querySelector('.keys')).listStyleType") == "none"
    assert failed == []


def test_the_site_stands_under_a_path(context: BrowserContext, url: str) -> None:
    """A proxy that passes the path on: the command is given it."""
    process = start("serve", "--store", url, "--port", "0", "--root-path", "/tools/feeds/")
    try:
        address = re.fullmatch(r"open ((http://\S+:\d+/tools/feeds)/\?token=\S+)\n", _second_line(process))
        assert address is not None
        see_the_site(context, address[1], address[2])
        see_the_site(context, address[1].replace("/?", "?"), address[2])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("root_path", ["", "/tools/feeds"])
def test_a_proxy_may_strip_the_path(context: BrowserContext, url: str, root_path: str) -> None:
    """Then the command need not be given it, and may be."""
    with connect(url) as backend, SiteServer() as server:
        viewer = new_viewer(backend, "token", "a store", root_path)

        async def stripped(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"].removeprefix("/tools/feeds")
            await viewer({**scope, "path": path, "raw_path": path.encode()}, receive, send)

        with server.serving_site(stripped) as port:
            root = f"http://127.0.0.1:{port}/tools/feeds"
            see_the_site(context, f"{root}/?token=token", root)
            for page in context.pages:
                page.close()


@pytest.mark.parametrize("path", ["feeds", "/a b", "/a?b", "http://host/feeds"])
def test_a_root_path_that_cannot_be_is_refused(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--store", "memory://", "--root-path", path])
    assert "it is a path such as /feeds" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 0)])
def test_it_leaves_when_it_is_told_to(url: str, context: BrowserContext, number: signal.Signals, status: int) -> None:
    page = context.new_page()
    with serving(url) as (process, address):
        page.goto(f"{address}&key=feed:bob")
        wait_until_live(page)
        process.send_signal(number)
        _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (status, "")


def test_a_port_that_is_taken_is_said_so(served: str, url: str) -> None:
    taken = re.search(r":(\d+)/", served)
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
