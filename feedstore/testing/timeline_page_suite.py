"""The contract of pages and cursors."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from feedstore.ids import MAX_ID
from feedstore.storage import Page, TimelineStorage
from feedstore.testing.samples import (
    HARD_IDS,
    NEWEST_FIRST,
    OLDEST_FIRST,
    ids_of,
    make_activities,
    newest_first,
    of_one_millisecond,
)
from feedstore.testing.suite import Suite
from feedstore.testing.walks import pages, walk

ALPHABET = "AZaz09-_"


class TimelinePageSuite(Suite):
    """``get_page``: the contents of pages and the properties of cursors."""

    def test_a_page_of_a_timeline_that_is_not_there(self, timelines: TimelineStorage) -> None:
        """T16: nothing was ever there, and nothing was forgotten."""
        for ordering in (None, OLDEST_FIRST):
            assert timelines.get_page("key", 5, ordering_args=ordering) == Page([], None, True, None)

    @pytest.mark.parametrize("ordering", [None, NEWEST_FIRST, OLDEST_FIRST])
    def test_a_walk_returns_everything_once(self, timelines: TimelineStorage, ordering: tuple[str, ...] | None) -> None:
        """T16: in either ordering, at every page size, ids 0 and 2**128 - 1 included."""
        timelines.add_many("key", HARD_IDS)
        expected = sorted(HARD_IDS, reverse=ordering != OLDEST_FIRST)
        for limit in (1, 2, 3, 12, 13, 14, 1_000):
            assert walk(timelines, "key", limit, ordering) == expected, limit

    def test_pages_are_full_and_the_last_says_so(self, timelines: TimelineStorage) -> None:
        """T16: a cursor comes exactly where more follows; only the last page is complete."""
        timelines.add_many("key", range(6))
        first, second = pages(timelines, "key", 3)
        assert (ids_of(first.items), first.complete, first.floor) == ([5, 4, 3], False, None)
        assert first.next_cursor is not None
        assert (ids_of(second.items), second.complete, second.next_cursor) == ([2, 1, 0], True, None)

    def test_ids_of_one_millisecond(self, timelines: TimelineStorage) -> None:
        """T3, T16: a page may end amid one millisecond."""
        five = of_one_millisecond(5)
        timelines.add_many("key", five)
        assert walk(timelines, "key", 2) == ids_of(five)[::-1]
        assert walk(timelines, "key", 2, OLDEST_FIRST) == ids_of(five)

    def test_payloads_come_with_pages(self, payloads: TimelineStorage) -> None:
        """T16: the serializer creates the items."""
        given = make_activities(5)
        payloads.add_many("key", given)
        first, second = pages(payloads, "key", 3)
        assert [*first.items, *second.items] == given[::-1]

    def test_a_cursor_is_url_safe_and_the_same_everywhere(self, timelines: TimelineStorage) -> None:
        """T16: a cursor says where, not when; equal timelines give equal cursors."""
        timelines.add_to_many(["key", "other"], make_activities(5))
        cursors = [timelines.get_page(key, 2).next_cursor for key in ("key", "other", "key")]
        assert len(set(cursors)) == 1
        assert re.fullmatch("[A-Za-z0-9_-]{1,128}", str(cursors[0]))

    def test_a_cursor_outlives_its_entry(self, timelines: TimelineStorage) -> None:
        """T16: if the last entry of a page is removed, the walk continues after its position."""
        timelines.add_many("key", range(10))
        cursor = timelines.get_page("key", 4).next_cursor
        timelines.remove_many("key", [6, 5])
        assert ids_of(timelines.get_page("key", 3, cursor).items) == [4, 3, 2]
        timelines.delete("key")
        assert timelines.get_page("key", 3, cursor) == Page([], None, True, None)

    def test_a_limit_may_be_huge(self, timelines: TimelineStorage) -> None:
        """T16: a limit beyond every integer of a database means all."""
        timelines.add_many("key", HARD_IDS)
        for limit in (2**31, 2**63 - 1, 2**63, 2**70):
            assert ids_of(timelines.get_page("key", limit).items) == list(HARD_IDS[::-1])
            assert ids_of(timelines.get_slice("key", 0, limit)) == list(HARD_IDS[::-1])
            assert timelines.get_slice("key", limit, None) == []


class TimelineWalkSuite(Suite):
    """Walks through a timeline that changes during the walk."""

    def test_adding_above_and_below(self, timelines: TimelineStorage) -> None:
        """T16: entries added above the page are not returned, entries below it are, and no entry comes twice."""
        given = make_activities(40, first=100)
        timelines.add_many("key", given)

        def add_around(number: int) -> None:
            timelines.add_many("key", make_activities(2, first=1_000 + 2 * number))
            timelines.add_many("key", make_activities(1, first=50 - number))

        seen = walk(timelines, "key", 7, between=add_around)
        assert [one for one in seen if one in set(ids_of(given))] == newest_first(given)
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen, reverse=True)

    def test_adding_above_and_below_oldest_first(self, timelines: TimelineStorage) -> None:
        """T16: the same from the other end."""
        given = make_activities(40, first=100)
        timelines.add_many("key", given)

        def add_around(number: int) -> None:
            timelines.add_many("key", make_activities(1, first=50 + number))
            if number < 10:
                timelines.add_many("key", make_activities(2, first=1_000 + 2 * number))

        seen = walk(timelines, "key", 7, OLDEST_FIRST, add_around)
        assert [one for one in seen if one in set(ids_of(given))] == ids_of(given)
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen)

    def test_trimming_meanwhile(self, timelines: TimelineStorage) -> None:
        """T16: everything at or above the floor at the end was met, and the end does not claim to be complete."""
        given = make_activities(40)
        timelines.add_many("key", given)
        seen = walk(timelines, "key", 6, between=lambda number: timelines.trim("key", 38 - 5 * number))
        last = timelines.get_page("key", 100)
        assert last.floor is not None
        assert last.complete is False
        assert [one for one in newest_first(given) if one >= last.floor] == [one for one in seen if one >= last.floor]
        assert len(seen) == len(set(seen))

    def test_removing_meanwhile(self, timelines: TimelineStorage) -> None:
        """T16: an entry that is removed before the walk reaches it is not returned; all others are."""
        given = make_activities(30)
        timelines.add_many("key", given)
        order = newest_first(given)
        seen = walk(timelines, "key", 5, between=lambda number: timelines.remove_many("key", order[7::2]))
        assert seen == [*order[:5], *order[5:7], *order[8::2]]

    def test_deleting_meanwhile(self, timelines: TimelineStorage) -> None:
        """T16: a walk through a timeline that is deleted and filled again ends, and repeats no entry."""
        timelines.add_many("key", make_activities(20, first=100))

        def begin_anew(number: int) -> None:
            timelines.delete("key")
            timelines.add_many("key", make_activities(9, first=200))

        seen = walk(timelines, "key", 5, between=begin_anew)
        assert seen == newest_first(make_activities(20, first=100))[:5]

    def test_adding_the_highest_id_meanwhile(self, timelines: TimelineStorage) -> None:
        """T16: a walk oldest first goes up to 2**128 - 1, and one newest first down to 0."""
        timelines.add_many("key", [5, 6, 7])
        assert walk(timelines, "key", 1, OLDEST_FIRST, lambda number: timelines.add("key", MAX_ID)) == [5, 6, 7, MAX_ID]
        timelines.remove("key", MAX_ID)
        assert walk(timelines, "key", 1, None, lambda number: timelines.add("key", 0)) == [7, 6, 5, 0]


class TimelinePageArgumentSuite(Suite):
    """Invalid cursors and limits, which pages refuse."""

    @pytest.mark.parametrize("ordering", [NEWEST_FIRST, OLDEST_FIRST])
    def test_a_cursor_altered_anywhere_is_refused(self, timelines: TimelineStorage, ordering: tuple[str, ...]) -> None:
        """T16: one character changed, left out, doubled or put in, at every position, is a ValueError."""
        timelines.add_many("key", HARD_IDS)
        cursor = str(timelines.get_page("key", 5, ordering_args=ordering).next_cursor)
        for altered in altered_cursors(cursor):
            with pytest.raises(ValueError, match="cursor"):
                timelines.get_page("key", 5, altered, ordering)
        assert timelines.get_page("key", 5, cursor, ordering).items

    @pytest.mark.parametrize(
        ("refused", "error"),
        [
            ("", ValueError),
            ("None", ValueError),
            ("ä" * 32, ValueError),
            ("\ud800", ValueError),
            ("\0", ValueError),
            ("A" * 100_000, ValueError),
            (urlsafe_b64encode(bytes(24)).decode(), ValueError),
            (urlsafe_b64encode(b"\xff" * 24).decode(), ValueError),
            (5, TypeError),
            (b"AAAA", TypeError),
        ],
    )
    def test_what_is_no_cursor_is_refused(
        self, timelines: TimelineStorage, refused: Any, error: type[Exception]
    ) -> None:
        """T16: anything that no page gave is refused."""
        with pytest.raises(error, match="cursor"):
            timelines.get_page("key", 5, refused)

    def test_a_cursor_of_the_other_ordering_is_refused(self, timelines: TimelineStorage) -> None:
        """T16: a cursor belongs to its ordering; naming the default changes nothing."""
        timelines.add_many("key", HARD_IDS)
        newest = timelines.get_page("key", 5).next_cursor
        oldest = timelines.get_page("key", 5, ordering_args=OLDEST_FIRST).next_cursor
        with pytest.raises(ValueError, match="ordering"):
            timelines.get_page("key", 5, newest, OLDEST_FIRST)
        for ordering in (None, NEWEST_FIRST):
            with pytest.raises(ValueError, match="ordering"):
                timelines.get_page("key", 5, oldest, ordering)
        assert timelines.get_page("key", 5, newest, NEWEST_FIRST) == timelines.get_page("key", 5, newest)

    @pytest.mark.parametrize(
        ("limit", "error"), [(0, ValueError), (-1, ValueError), (None, TypeError), ("5", TypeError), (True, TypeError)]
    )
    def test_a_limit_below_one_is_refused(self, timelines: TimelineStorage, limit: Any, error: type[Exception]) -> None:
        """T6: a page holds one entry or more."""
        with pytest.raises(error, match="limit"):
            timelines.get_page("key", limit)


def altered_cursors(cursor: str) -> set[str]:
    """Return the cursor with one character changed, doubled, removed or inserted, at every position."""
    altered = set()
    for position in range(len(cursor) + 1):
        head, tail = cursor[:position], cursor[position:]
        altered |= {head, tail, head + tail[1:], f"{head} {tail}", f"{head}={tail}", f"{head}\n{tail}", head + cursor}
        altered |= {f"{head}{character}{tail[1:]}" for character in ALPHABET}
        altered |= {f"{head}{character}{tail}" for character in ALPHABET}
        altered.add(head + tail[:1].swapcase() + tail[1:])
    return altered - {cursor}
