"""The example application in a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from browser.conftest import MILLISECONDS, Application, photos, sign_in, wait_for, wait_for_photos, wait_until_live

HOSTILE = [
    "<script>document.title = 'taken'; alert(1)</script>",
    '<img src="x" onerror="alert(2)">',
    '"><svg onload=alert(3)>',
    "</blockquote></li><h1>taken</h1>",
]


def newest_first(count: int) -> list[int]:
    return list(range(count - 1, -1, -1))


def test_the_page_loads_and_scrolls_to_the_end(
    application: Application, context: BrowserContext, complaints: list[str]
) -> None:
    application.add(*range(120))
    page = sign_in(context, application, "bob", complaints)
    page.wait_for_selector(".entry")
    assert photos(page)[:25] == newest_first(120)[:25]
    assert len(photos(page)) < 120
    while len(photos(page)) < 120:
        before = len(photos(page))
        page.locator(".end").scroll_into_view_if_needed()
        wait_for(page, f"document.querySelectorAll('.entry').length > {before}")
    assert photos(page) == newest_first(120)
    wait_for(page, "document.querySelector('.end').textContent === 'This is where it all began.'")
    assert complaints == []


def test_a_new_activity_appears_without_a_reload(page: Page, application: Application, complaints: list[str]) -> None:
    page.evaluate("window.isTheSamePage = true")
    application.add(1)
    wait_for_photos(page, [1])
    application.add(3)
    wait_for_photos(page, [3, 1])
    application.add(2)
    wait_for_photos(page, [3, 2, 1])
    assert page.evaluate("window.isTheSamePage")
    assert complaints == []


def test_who_reads_further_down_is_offered_what_is_new(
    application: Application, context: BrowserContext, complaints: list[str]
) -> None:
    application.add(*range(40))
    page = sign_in(context, application, "bob", complaints)
    page.wait_for_selector(".entry")
    page.mouse.wheel(0, 1500)
    wait_for(page, "scrollY > 500")
    before = page.evaluate("scrollY")
    application.add(100, 101)
    page.get_by_role("button", name="2 new").wait_for()
    assert page.evaluate("scrollY") == before
    assert photos(page)[0] == 39
    page.get_by_role("button", name="2 new").click()
    wait_for(page, "scrollY < 10")
    assert photos(page)[:3] == [101, 100, 39]
    assert complaints == []


def test_a_connection_that_is_cut_resumes_with_nothing_missing_or_twice(page: Page, application: Application) -> None:
    application.add(0, 1)
    wait_for_photos(page, [1, 0])
    application.proxy.cut()
    page.wait_for_selector('.status[data-state="connecting"]')
    application.add(2, 3, 4)
    application.proxy.mend()
    wait_for_photos(page, newest_first(5))
    wait_until_live(page)
    application.add(5)
    wait_for_photos(page, newest_first(6))


def test_a_server_that_is_killed_and_comes_back(page: Page, application: Application) -> None:
    application.add(0, 2)
    wait_for_photos(page, [2, 0])
    application.kill()
    page.wait_for_selector('.status[data-state="connecting"]')
    # One of them is late: the page receives a gap, and reads again.
    application.add(1, 3)
    application.start()
    wait_for_photos(page, newest_first(4))
    wait_until_live(page)


def test_who_missed_too_much_reads_anew(page: Page, application: Application) -> None:
    application.add(0)
    wait_for_photos(page, [0])
    application.proxy.cut()
    page.wait_for_selector('.status[data-state="connecting"]')
    application.add(*range(1, 1200))
    application.proxy.mend()
    wait_until_live(page)
    wait_for(page, "document.querySelector('.object').textContent === 'photo:1199'")
    assert photos(page)[:25] == list(range(1199, 1174, -1))


def test_the_last_of_two_gaps_counts(context: BrowserContext, application: Application) -> None:
    """Also if the answer to the first request is the slower one: its content is older."""
    page = context.new_page()
    asked: list[Route] = []
    page.route("**/timeline", lambda route: asked.append(route))
    gaps = "retry: 600000\n\n" + 'event: gap\ndata: {"reason": "changed"}\n\n' * 2
    page.route("**/events*", lambda route: route.fulfill(body=gaps, content_type="text/event-stream"))
    page.goto(application.address)
    page.get_by_label("Your name").fill("bob")
    page.get_by_role("button", name="Sign in").click()
    empty: dict[str, Any] = {"items": [], "next_cursor": None, "complete": True, "position": "x"}
    entry = {"id": "7", "time": "2026-05-01T12:00:00Z", "actor": "ann", "verb": "liked", "object": "photo:7"}
    full: dict[str, Any] = {**empty, "items": [{**entry, "target": None, "extra_context": {}}]}
    poll_while(page, lambda: len(asked) < 1)
    asked[0].fulfill(json=empty)
    poll_while(page, lambda: len(asked) < 3)
    asked[2].fulfill(json=full)
    wait_for_photos(page, [7])
    with page.expect_response("**/timeline"):
        asked[1].fulfill(json=empty)
    page.evaluate("async () => { for (let i = 0; i < 3; i++) await (await fetch('/assets/icon.svg')).text(); }")
    assert photos(page) == [7]


def test_a_removed_entry_goes(page: Page, application: Application) -> None:
    application.add(0, 1, 2)
    wait_for_photos(page, [2, 1, 0])
    timelines = application.backend.timeline_storage()
    timelines.remove("feed:bob", timelines.get_slice("feed:bob", 1, 2)[0])
    wait_for(page, "document.querySelectorAll('.entry').length === 2")
    assert photos(page) == [2, 0]


def test_what_people_wrote_is_shown_as_text(page: Page, application: Application, complaints: list[str]) -> None:
    for text in HOSTILE:
        page.get_by_label("object", exact=True).fill(text)
        page.get_by_label("Comment").fill(text)
        page.get_by_role("button", name="Post").click()
        wait_for(page, f"document.querySelector('.object')?.textContent === {json.dumps(text)}")
        assert page.locator(".text").first.inner_text() == text
    page.reload()
    wait_until_live(page)
    assert page.locator(".object").all_inner_texts() == HOSTILE[::-1]
    assert page.title() == "Your feed · feedstore"
    assert page.locator("main script, main svg, main img").count() == 0
    assert complaints == []


def test_a_hostile_name_is_text_too(application: Application, context: BrowserContext, complaints: list[str]) -> None:
    name = "<b onclick=x>&\"'"
    page = sign_in(context, application, name, complaints)
    assert page.locator(".account b").inner_text() == name
    assert name in page.locator(".sub").inner_text()
    assert complaints == []


def test_what_one_posts_the_others_see(page: Page, application: Application, context: BrowserContext) -> None:
    page.get_by_label("Follow", exact=True).fill("ann")
    page.get_by_role("button", name="Follow").click()
    page.get_by_text("You follow ann from now on.").wait_for()
    ann = sign_in(_another(context), application, "ann", [])
    ann.get_by_label("object", exact=True).fill("a photo of the lake")
    ann.get_by_role("button", name="Post").click()
    for reader in (ann, page):
        reader.locator(".entry", has_text="a photo of the lake").wait_for()
    ann.get_by_text("Posted to your feed and 1 others.").wait_for()
    ann.context.close()


def test_an_altered_cookie_signs_no_user_in(page: Page, application: Application) -> None:
    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    page.context.add_cookies([{**cookie, "value": f"x{cookie['value']}"}])  # type: ignore[typeddict-item]
    for path in ("/timeline", "/events"):
        assert page.request.get(f"{application.address}{path}").status == 403


def test_another_site_cannot_post(page: Page, application: Application) -> None:
    answer = page.request.post(
        f"{application.address}/activities", data={"verb": "v", "object": "o"}, headers={"origin": "http://other.test"}
    )
    assert answer.status == 403


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_page_scrolls_in_one_direction(
    page: Page, application: Application, scheme: str, complaints: list[str]
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 340, "height": 700})
    application.add(1, text="a word that is " + "long" * 60)
    wait_for_photos(page, [1])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []


def poll_while(page: Page, condition: Callable[[], bool]) -> None:
    """Let the browser go on while a condition is true."""
    deadline = time.monotonic() + MILLISECONDS / 1000
    while condition():
        assert time.monotonic() < deadline
        page.evaluate("0")


def _another(context: BrowserContext) -> BrowserContext:
    assert context.browser is not None
    another = context.browser.new_context()
    another.set_default_timeout(MILLISECONDS)
    return another
