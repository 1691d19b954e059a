"""The live page of a timeline in a real browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from browser.conftest import LivePageSite, photos, poll_while, wait_for, wait_for_photos, wait_until_live
from feedstore import Activity

HOSTILE = [
    "<script>document.title = 'taken'; alert(1)</script>",
    '<img src="x" onerror="alert(2)">',
    '"><svg onload=alert(3)>',
    "</blockquote></li><h1>taken</h1>",
]


def newest_first(count: int) -> list[int]:
    return list(range(count - 1, -1, -1))


def test_the_page_loads_and_scrolls_to_the_end(page: Page, site: LivePageSite, complaints: list[str]) -> None:
    site.add(*range(120))
    page.reload()
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


def test_a_new_activity_appears_without_a_reload(page: Page, site: LivePageSite, complaints: list[str]) -> None:
    page.evaluate("window.isTheSamePage = true")
    site.add(1)
    wait_for_photos(page, [1])
    site.add(3)
    wait_for_photos(page, [3, 1])
    site.add(2)
    wait_for_photos(page, [3, 2, 1])
    assert page.evaluate("window.isTheSamePage")
    assert complaints == []


def test_a_reader_further_down_is_offered_new_entries(page: Page, site: LivePageSite, complaints: list[str]) -> None:
    site.add(*range(40))
    page.reload()
    page.wait_for_selector(".entry")
    page.mouse.wheel(0, 1500)
    wait_for(page, "scrollY > 500")
    before = page.evaluate("scrollY")
    site.add(100, 101)
    page.get_by_role("button", name="2 new").wait_for()
    assert page.evaluate("scrollY") == before
    assert photos(page)[0] == 39
    page.get_by_role("button", name="2 new").click()
    wait_for(page, "scrollY < 10")
    assert photos(page)[:3] == [101, 100, 39]
    assert complaints == []


def test_a_connection_that_is_cut_resumes_with_nothing_missing_or_twice(page: Page, site: LivePageSite) -> None:
    site.add(0, 1)
    wait_for_photos(page, [1, 0])
    site.proxy.cut()
    page.wait_for_selector('.status[data-state="connecting"]')
    site.add(2, 3, 4)
    site.proxy.mend()
    wait_for_photos(page, newest_first(5))
    wait_until_live(page)
    site.add(5)
    wait_for_photos(page, newest_first(6))


def test_a_server_that_is_killed_and_comes_back(page: Page, site: LivePageSite) -> None:
    site.add(0, 2)
    wait_for_photos(page, [2, 0])
    site.kill()
    page.wait_for_selector('.status[data-state="connecting"]')
    # One of them is late: the page receives a gap, and reads again.
    site.add(1, 3)
    site.start()
    wait_for_photos(page, newest_first(4))
    wait_until_live(page)


def test_a_page_that_missed_too_much_reads_everything_again(page: Page, site: LivePageSite) -> None:
    site.add(0)
    wait_for_photos(page, [0])
    site.proxy.cut()
    page.wait_for_selector('.status[data-state="connecting"]')
    site.add(*range(1, 1200))
    site.proxy.mend()
    wait_until_live(page)
    wait_for(page, "document.querySelector('.object').textContent === 'photo:1199'")
    assert photos(page)[:25] == list(range(1199, 1174, -1))


def test_the_last_of_two_gaps_counts(context: BrowserContext, site: LivePageSite) -> None:
    """Also if the answer to the first request is the slower one: its content is older."""
    page = context.new_page()
    asked: list[Route] = []
    page.route("**/timeline", lambda route: asked.append(route))
    gaps = "retry: 600000\n\n" + 'event: gap\ndata: {"reason": "changed"}\n\n' * 2
    page.route("**/events*", lambda route: route.fulfill(body=gaps, content_type="text/event-stream"))
    page.goto(site.address)
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


def test_a_removed_entry_goes(page: Page, site: LivePageSite) -> None:
    site.add(0, 1, 2)
    wait_for_photos(page, [2, 1, 0])
    timelines = site.backend.timeline_storage()
    timelines.remove("feed:bob", timelines.get_slice("feed:bob", 1, 2)[0])
    wait_for(page, "document.querySelectorAll('.entry').length === 2")
    assert photos(page) == [2, 0]


def test_words_of_users_are_shown_as_text(page: Page, site: LivePageSite, complaints: list[str]) -> None:
    activities = site.backend.activity_storage()
    for hostile in HOSTILE:
        activity = Activity(hostile, hostile, hostile, hostile, extra_context={"text": hostile, "x": hostile})
        activities.add(activity)
        site.backend.timeline_storage().add("feed:bob", activity)
        wait_for(page, f"document.querySelector('.object')?.textContent === {json.dumps(hostile)}")
        assert page.locator(".text").first.inner_text() == hostile
    page.reload()
    wait_until_live(page)
    assert page.locator(".object").all_inner_texts() == HOSTILE[::-1]
    assert page.title() == "The feed of bob · feedstore"
    assert page.locator("main script, main svg, main img").count() == 0
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_page_scrolls_in_one_direction(
    page: Page, site: LivePageSite, scheme: str, complaints: list[str]
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 340, "height": 700})
    site.add(1, text="a word that is " + "long" * 60)
    wait_for_photos(page, [1])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
