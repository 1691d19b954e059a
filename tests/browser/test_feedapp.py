"""The social application in a real browser, two users at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from feedapp.application import new_application
from feedapp.feeds import Home, SocialManager
from feedapp.network import Network
from playwright.sync_api import Browser, Page

from browser.conftest import MILLISECONDS, new_page, wait_for
from feedstore import Activity, connect
from feedstore.feeds import BaseFeed
from feedstore.storage import Backend
from live.site import SiteServer

START = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
SignIn = Callable[..., Page]


class ShortHome(Home):
    """A home feed that is trimmed early."""

    max_length = 50


class ShortManager(SocialManager):
    """A manager of short home feeds."""

    feed_classes: ClassVar[Mapping[str, type[BaseFeed[Any]]]] = {"home": ShortHome}


@pytest.fixture(scope="module")
def site_server() -> Iterator[SiteServer]:
    """The server of all tests in this file."""
    with SiteServer() as server:
        yield server


@pytest.fixture
def backend() -> Iterator[Backend]:
    """The store of the application, in memory."""
    with connect("memory://") as backend:
        yield backend


@pytest.fixture
def network(backend: Backend) -> Network:
    """The social network."""
    return Network(backend, ShortManager)


@pytest.fixture
def sign_in(browser: Browser, site_server: SiteServer, network: Network, complaints: list[str]) -> Iterator[SignIn]:
    """A callable that signs a user in, in a window of its own."""
    opened = []
    with site_server.serving_site(new_application(network, "secret")) as port:

        def sign_in(name: str, **options: Any) -> Page:
            context = browser.new_context(viewport={"width": 900, "height": 800}, reduced_motion="reduce", **options)
            opened.append(context)
            context.set_default_timeout(MILLISECONDS)
            page = new_page(context, complaints)
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_label("Your name").fill(name)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("heading", name="Home").wait_for()
            return page

        yield sign_in
        for context in opened:
            context.close()


def badge(page: Page) -> str:
    """Return the name of the link to the notifications, as a screen reader says it."""
    return " ".join((page.get_by_role("link", name="Notifications").text_content() or "").split())


def visit_profile(page: Page, name: str) -> None:
    """Open a user's profile by the form of the home page."""
    page.get_by_role("link", name="Home", exact=True).click()
    page.get_by_label("Name of a user").fill(name)
    page.get_by_role("button", name="Show the profile").click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def press(page: Page, name: str, said: str) -> None:
    """Press a button, and wait for the page that says the result."""
    page.get_by_role("button", name=name).first.click()
    page.get_by_role("status").filter(has_text=said).wait_for()


def test_two_users_post_react_follow_block_and_delete(sign_in: SignIn, complaints: list[str]) -> None:
    ann, bob = sign_in("ann"), sign_in("bob")
    visit_profile(bob, "ann")
    press(bob, "Follow ann", "Followed.")
    ann.locator(".badge", has_text="1").wait_for()
    assert ann.title() == "(1) Home · feedapp"
    assert ann.locator(".badge-said").inner_text() == "1 unseen notification"
    bob.get_by_role("link", name="Home", exact=True).click()
    bob.locator(".news-said").wait_for(state="attached")
    ann.get_by_label("Your post").fill("A photo of the lake")
    press(ann, "Post", "Posted.")
    bob.get_by_role("link", name="Show 1 new entry").click()
    bob.locator(".entry", has_text="A photo of the lake").wait_for()
    press(bob, "Like", "Liked.")
    bob.get_by_role("link", name="1 like, 0 comments").click()
    bob.get_by_label("Your comment").fill("Where is it?")
    press(bob, "Comment", "Comment added.")
    bob.locator(".entry", has_text="bob commented on ann's post").wait_for()
    ann.locator(".badge", has_text="3").wait_for()
    ann.get_by_role("link", name="Notifications").click()
    assert ann.locator(".notification.unread .what").all_text_contents() == [
        "Unread: bob commented on your post",
        "Unread: bob liked your post",
        "Unread: bob followed you",
    ]
    assert badge(ann) == "Notifications 0 unseen"
    assert ann.locator(".badge").is_hidden()
    press(ann, "Mark all as read", "Marked as read.")
    assert ann.locator(".notification.unread").count() == 0
    bob.get_by_role("link", name="Home", exact=True).click()
    press(bob, "Unlike", "Like taken back.")
    ann.get_by_role("link", name="bob").first.click()
    press(ann, "Block bob", "Blocked.")
    bob.reload()
    bob.get_by_text("Nothing here yet.").wait_for()
    press(ann, "Unblock bob", "Unblocked.")
    ann.get_by_role("link", name="Home", exact=True).click()
    press(ann, "Delete", "Deleted.")
    ann.get_by_text("Nothing here yet.").wait_for()
    visit_profile(bob, "ann")
    press(bob, "Follow ann", "Followed.")
    press(bob, "Unfollow ann", "Unfollowed.")
    assert complaints == []


def publish(network: Network, count: int) -> None:
    """Let ann publish posts, a minute apart, to bob."""
    network.follow("bob", "ann")
    posts = [
        Activity(
            "ann", "post", f"post:{one}", time=START + timedelta(minutes=one), extra_context={"text": f"no. {one}"}
        )
        for one in range(count)
    ]
    network.manager.batch_import("ann", posts)


def shown_posts(page: Page) -> list[int]:
    """Return the numbers of the posts on a page."""
    return [int(text.removeprefix("no. ")) for text in page.locator(".entry .text").all_inner_texts()]


def test_a_feed_scrolls_to_its_end_and_says_that_older_entries_were_trimmed(
    sign_in: SignIn, network: Network, complaints: list[str]
) -> None:
    publish(network, 60)
    page = sign_in("bob")
    while "trimmed" not in page.locator(".end").inner_text():
        before = len(shown_posts(page))
        page.locator(".end").scroll_into_view_if_needed()
        wait_for(page, f"document.querySelectorAll('.entry').length > {before}")
    assert shown_posts(page) == list(range(59, 9, -1))
    assert complaints == []


def test_all_pages_work_without_a_script(sign_in: SignIn, network: Network) -> None:
    publish(network, 60)
    page = sign_in("bob", java_script_enabled=False)
    shown = shown_posts(page)
    for _ in range(2):
        page.get_by_role("link", name="Older entries").click()
        page.get_by_role("heading", name="Home, older entries").wait_for()
        page.wait_for_load_state()
        shown += shown_posts(page)
    assert shown == list(range(59, 9, -1))
    assert "trimmed" in page.locator(".end").inner_text()
    # A reaction leads back to the same page.
    before = page.url
    press(page, "Like", "Liked.")
    assert page.url.partition("#")[0] == before


def tab_to(page: Page, name: str) -> None:
    """Press the tab key until an element has the focus, which must be visible."""
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(() => { const one = document.activeElement; return [one.labels?.[0]?.textContent || one.textContent, "
            "getComputedStyle(one).outlineStyle]; })()"
        )
        if focused[0].split()[:1] == [name]:
            assert focused[1] != "none", f"the focus of {name} is invisible"
            return
    raise AssertionError(f"the tab key does not reach {name}")


def test_the_keyboard_reaches_everything(sign_in: SignIn, network: Network, complaints: list[str]) -> None:
    publish(network, 1)
    page = sign_in("bob")
    tab_to(page, "Skip")
    page.keyboard.press("Enter")
    page.locator("#content:focus").wait_for()
    tab_to(page, "Your")
    page.keyboard.type("Hello")
    tab_to(page, "Post")
    page.keyboard.press("Enter")
    page.locator(".entry", has_text="Hello").wait_for()
    for name, said in (("Like", "Liked."), ("Unlike", "Like taken back."), ("Delete", "Deleted.")):
        tab_to(page, name)
        page.keyboard.press("Enter")
        page.get_by_role("status").filter(has_text=said).wait_for()
    assert shown_posts(page) == [0]
    assert complaints == []


def test_a_narrow_page_scrolls_in_one_direction(sign_in: SignIn, network: Network, complaints: list[str]) -> None:
    network.follow("bob", "x" * 40)
    network.post("x" * 40, "a word that is " + "long" * 60)
    page = sign_in("bob")
    page.set_viewport_size({"width": 340, "height": 700})
    for path in ("Home", "x" * 40):
        page.get_by_role("link", name=path, exact=True).first.click()
        page.get_by_role("heading", name=path).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
