"""The contract of event stores."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any, Protocol

import pytest

from feedstore.errors import (
    EventNotFound,
    EventReadException,
    EventWriteException,
)
from feedstore.events import BackendEventStore, Event, Search
from feedstore.testing.processes import run_in_child, run_in_threads
from feedstore.testing.suite import OpenBackend, Suite
from feedstore.testing.waiting import patience

DAY = 86_400
TAGS: tuple[list[str], ...] = (["a"], ["b"], ["a", "b"], [], ["ab"], ["a"])
CONTENTS = ("alpha one", "beta two", "alpha three", "no tags", "alphabet", "")
HARD_TEXTS = ("a:b{c}*?[d]", "x\0y", "ü☃😀", "line\nline\r\n", "~" * 40, "k" * 3000, "é" * 600, "100%_'\"\\;--")


class OpenEvents(Protocol):
    """Type of the fixture ``open_events``."""

    def __call__(self, namespace: str | None = None) -> BackendEventStore:
        """Open an event store on the shared store, in the given namespace or in an unused one."""


class EventStoreSuite(Suite):
    """Saving, reading, searching and pruning events."""

    @pytest.fixture
    def open_events(self, open_backend: OpenBackend) -> OpenEvents:
        """A callable that opens event stores."""
        return lambda namespace=None: BackendEventStore(open_backend(namespace))

    @pytest.fixture
    def events(self, open_events: OpenEvents) -> BackendEventStore:
        """An empty event store."""
        return open_events()

    @pytest.fixture
    def six(self, events: BackendEventStore) -> BackendEventStore:
        """An event store that holds the events e0 to e5 at 100, 110 and so on."""
        events.save_many(_six())
        return events

    def test_a_search_is_bounded_by_time(self, six: BackendEventStore) -> None:
        """Both bounds are inclusive, None alone is open, and a reversed range is empty."""
        assert _ids(six.search(100)) == ["e0", "e1", "e2", "e3", "e4", "e5"]
        assert _ids(six.search(0)) == _ids(six.search(100))
        assert _ids(six.search(110, 130)) == ["e1", "e2", "e3"]
        assert _ids(six.search(110.000_001, 129.999_999)) == ["e2"]
        assert _ids(six.search(130, 110)) == _ids(six.search(-10, 0)) == _ids(six.search(151)) == []
        assert _ids(six.search(datetime.fromtimestamp(140, timezone.utc), "150.0")) == ["e4", "e5"]
        assert _ids(six.search("1970-01-01T00:02:20Z", None)) == ["e4", "e5"]
        assert isinstance(six.search(0), Search)

    def test_both_orders_are_each_other_s_reverse(self, six: BackendEventStore) -> None:
        """The order ``desc`` returns the same events backwards, with every other argument."""
        for arguments in ({}, {"ts_end": 130}, {"flags": ["a"]}, {"match": "alpha"}, {"flags": ["a", "b"]}):
            found = _ids(six.search(100, **arguments))
            assert _ids(six.search(100, order="desc", **arguments)) == found[::-1] != []

    def test_flags_are_literal_and_all_required(self, six: BackendEventStore) -> None:
        """A search by flags reads the index of the rarest."""
        assert _ids(six.search(0, flags=["a"])) == ["e0", "e2", "e5"]
        assert _ids(six.search(0, flags=["a", "b"])) == _ids(six.search(0, flags=("b", "a", "b"))) == ["e2"]
        assert _ids(six.search(0, flags=[])) == _ids(six.search(0, flags=None)) == _ids(six.search(0))
        assert _ids(six.search(0, flags=["a."])) == _ids(six.search(0, flags=["a", "absent"])) == []
        search = six.search(0, flags=["a", "b"])
        assert _ids(search) == ["e2"]
        assert search.statistics.flags == {"b": 1}
        assert (search.statistics.entries_read, search.statistics.bodies_read) == (2, 2)

    def test_a_pattern_matches_anywhere_in_the_content(self, six: BackendEventStore) -> None:
        """RE2's syntax; an empty content matches an empty pattern alone."""
        assert _ids(six.search(0, match="alpha")) == ["e0", "e2", "e4"]
        assert _ids(six.search(0, match="one$")) == ["e0"]
        assert _ids(six.search(0, match="^$")) == ["e5"]
        assert _ids(six.search(0, match="(?i)ALPHA T|tags", flags=["a"])) == ["e2"]
        assert len(_ids(six.search(0, match=""))) == 6

    def test_a_saved_event_is_returned_as_it_is(self, events: BackendEventStore) -> None:
        """Times are floats, also 0 and negative ones; tags, ids, sources and contents may be any str."""
        times = (0, -1.5, 1491580705.9789374, 1e-9, -62_135_596_800, 253_402_300_799, "1491580705.97")
        saved = [Event(str(time), "", time, content=f"at {time}") for time in times]
        saved += [Event(text, text, 5, [text, "tag"], text) for text in HARD_TEXTS]
        saved.append(Event("large", "s", 6, content="x☃" * 50_000))
        assert events.save_many(iter(saved)) == len(saved)
        for event in saved:
            assert events.get(event.id) == event
            assert event in list(events.search(event.timestamp, event.timestamp))
        assert sorted(saved, key=_place) == list(events.search(-1e300, float("inf")))
        assert [[one.id for one in events.search(5, flags=[text])] for text in HARD_TEXTS] == [[e] for e in HARD_TEXTS]
        assert events.flags() == sorted([*HARD_TEXTS, "tag"])
        assert events.sources() == sorted({"", "s", *HARD_TEXTS})

    def test_saving_an_id_again_replaces_the_event(self, six: BackendEventStore) -> None:
        """The old time, tags and content are found no longer."""
        six.save(Event("e1", "elsewhere", 3 * DAY, ["c"], "moved"))
        assert six.get("e1") == Event("e1", "elsewhere", 3 * DAY, ["c"], "moved")
        assert _ids(six.search(0)) == ["e0", "e2", "e3", "e4", "e5", "e1"]
        assert _ids(six.search(0, flags=["b"])) == ["e2"]
        assert _ids(six.search(0, match="beta")) == []
        six.save_many([Event("e1", "s", 115, ["a"]), Event("e9", "s", 1), Event("e1", "s", 115, ["b"], "last")])
        assert six.get("e1") == Event("e1", "s", 115, ["b"], "last")
        assert _ids(six.search(0)) == ["e9", "e0", "e1", "e2", "e3", "e4", "e5"]
        assert _ids(six.search(0, flags=["c"])) == []
        six.save_many(_six())
        assert list(six.search(100)) == _six()
        assert (six.count(), six.count(flags=["b"]), six.count(flags=["c"])) == (7, 2, 0)
        assert six.flags() == ["a", "ab", "b"]

    def test_a_deleted_event_is_gone(self, six: BackendEventStore) -> None:
        """``get`` and ``delete`` of an unknown id raise an error, which is a LookupError too."""
        six.delete("e2")
        for call in (six.get, six.delete):
            for unknown in ("e2", "E1", "e"):
                with pytest.raises(EventNotFound, match=unknown) as raised:
                    call(unknown)
                assert isinstance(raised.value, LookupError)
        assert _ids(six.search(0)) == ["e0", "e1", "e3", "e4", "e5"]
        assert _ids(six.search(0, flags=["b"])) == ["e1"]
        assert six.count(100, 120) == 2
        six.save(Event("e2", "s", 7))
        assert six.get("e2").timestamp == 7

    def test_events_of_one_time_are_ordered_by_id(self, events: BackendEventStore) -> None:
        """More events of one time than a search reads in one step, in both orders, and walked by cursor."""
        ids = [f"{number:04}" for number in range(700)]
        shuffled = random.Random(1).sample(ids, len(ids))
        events.save_many(Event(own_id, "s", 50.25, ["t"] if own_id < "0100" else []) for own_id in shuffled)
        events.save_many([Event("before", "s", 50), Event("after", "s", 50.5)])
        for order, expected in (("asc", ["before", *ids, "after"]), ("desc", ["after", *ids[::-1], "before"])):
            assert _ids(events.search(0, order=order)) == expected
            assert _ids(events.search(0, order=order, limit=3)) == expected[:3]
            assert _walk(events, 300, order=order) == expected
        assert _walk(events, 30, flags=["t"]) == ids[:100]

    def test_a_search_over_many_days(self, events: BackendEventStore) -> None:
        """Days before 1970, gaps, flags that not every day has; each page of a walk continues the last."""
        times = [-800 * DAY, -DAY, -1, 0, DAY - 1e-3, DAY, 2.5 * DAY, 40 * DAY, 41 * DAY, 20_000 * DAY]
        saved = [Event(f"{n}", "s", time, ["even"] if n % 2 == 0 else ["odd", "x"]) for n, time in enumerate(times)]
        events.save_many(saved)
        expected = [event.id for event in saved]
        for order, ids in (("asc", expected), ("desc", expected[::-1])):
            assert _ids(events.search(-1e9, order=order)) == _walk(events, 3, order=order) == ids
        assert _ids(events.search(-1e9, flags=["even"], order="desc")) == expected[::2][::-1]
        assert _ids(events.search(-1e9, 41 * DAY, flags=["x", "odd"])) == expected[1:8:2]
        assert _ids(events.search(0, DAY)) == ["3", "4", "5"]
        assert events.count() == 10
        assert events.count(-1, 41 * DAY, flags=["odd"]) == 3
        assert events.count(0, DAY, match="") == 3

    def test_a_rare_flag_costs_its_own_entries(self, events: BackendEventStore) -> None:
        """A search by a flag reads the entries of that flag alone, and pages read about a page."""
        events.save_many(
            Event(f"{n:04}", "s", n, ["common", "rare"] if n % 300 == 7 else ["common"]) for n in range(1200)
        )
        search = events.search(0, flags=["common", "rare"])
        assert _ids(search) == ["0007", "0307", "0607", "0907"]
        assert search.statistics.entries_read <= 2 * search.statistics.events_returned
        first = events.search(100, limit=10)
        assert len(_ids(first)) == first.statistics.events_returned == 10
        assert first.statistics.entries_read <= 100
        assert events.count(flags=["rare"]) == 4

    def test_pruning_drops_old_events(self, events: BackendEventStore) -> None:
        """``before`` is exclusive; ``flags`` restricts the pruning and ``keep_flags`` excepts from it."""
        tags: tuple[list[str], ...] = (["debug"], ["error"], ["debug", "error"], [])
        events.save_many(Event(f"{n:02}", f"s{n % 3}", n * DAY / 4, tags[n % 4]) for n in range(40))
        assert events.prune(-5) == events.prune(0) == 0
        assert events.prune(2.5 * DAY, flags=["debug"]) == 5
        assert events.prune(2.5 * DAY, keep_flags=["error"]) == 2
        assert _ids(events.search(0, 2.5 * DAY)) == ["01", "05", "09", "10"]
        assert events.prune(datetime.fromtimestamp(8 * DAY, timezone.utc)) == 25
        assert _ids(events.search(-1e9)) == [f"{n}" for n in range(32, 40)]
        assert events.count() == 8
        assert events.flags() == ["debug", "error"]
        assert events.prune(1e9) == 8
        assert (events.flags(), events.sources(), list(events.search(-1e9))) == ([], [], [])
        events.save(Event("again", "s", 3, ["debug"]))
        assert (events.count(), events.flags(), _ids(events.search(-1e9))) == (1, ["debug"], ["again"])

    def test_two_stores_see_the_same_events(self, open_events: OpenEvents, six: BackendEventStore) -> None:
        """Another store in the namespace sees each save, and one in another namespace sees none."""
        other = open_events(six.backend.namespace)
        other.save(Event("e0", "s", 200, ["z"]))
        assert _ids(six.search(0)) == ["e1", "e2", "e3", "e4", "e5", "e0"]
        six.delete("e0")
        assert _ids(other.search(0)) == ["e1", "e2", "e3", "e4", "e5"]
        assert list(open_events().search(0)) == []
        assert six.backend.activity_storage().get_many([1]) == []
        assert list(six.backend.timeline_storage().keys()) == []

    def test_another_process_sees_every_returned_save(self, open_events: OpenEvents, six: BackendEventStore) -> None:
        """A save that has returned is found by every later get and search, in any process."""
        namespace = six.backend.namespace
        if not six.backend.abilities.shared_between_processes:
            pytest.skip("another process sees other data")

        def save_and_read() -> list[str]:
            child = open_events(namespace)
            child.save(Event("child", "s", 105, ["a"]))
            child.delete("e3")
            return _ids(child.search(0))

        assert run_in_child(save_and_read) == ["e0", "child", "e1", "e2", "e4", "e5"]
        assert _ids(six.search(0, flags=["a"])) == ["e0", "child", "e2", "e5"]
        assert six.get("child").timestamp == 105

    def test_concurrent_saves_leave_one_event_of_each_id(self, open_events: OpenEvents) -> None:
        """Threads save, move and delete the same ids; no event is torn, lost from an index, or found twice."""
        stores = [open_events()]
        stores.append(open_events(stores[0].backend.namespace))

        def save(number: int) -> Callable[[], None]:
            def run() -> None:
                for step in range(6):
                    tag = f"{number}-{step}"
                    stores[number % 2].save(Event(f"id{step % 2}", tag, number + step * DAY, [tag, "all"], tag))

            return run

        run_in_threads([save(number) for number in range(4)])
        stores[0].save_many(Event(f"new{n}", "s", n) for n in range(3))
        found = {event.id: event for event in stores[1].search(0, flags=["all"])}
        assert list(found) == [event.id for event in stores[0].search(0, flags=["all"])]
        assert sorted(found) == ["id0", "id1"]
        for own_id, event in found.items():
            assert event == stores[0].get(own_id)
            assert event.tags == (event.source, "all")
            assert event.content == event.source
            assert list(stores[0].search(0, flags=[event.source])) == [event]

    def test_of_concurrent_deletes_one_succeeds(self, six: BackendEventStore) -> None:
        """An event is deleted once if the store counts removals."""
        outcomes: list[str] = []

        def delete() -> None:
            try:
                six.delete("e0")
            except EventNotFound:
                outcomes.append("absent")
            else:
                outcomes.append("deleted")

        run_in_threads([delete] * 4)
        assert "deleted" in outcomes
        if six.backend.abilities.exact_counts:
            assert sorted(outcomes) == ["absent"] * 3 + ["deleted"]
        assert _ids(six.search(0)) == ["e1", "e2", "e3", "e4", "e5"]

    def test_a_search_while_events_change(self, events: BackendEventStore) -> None:
        """A search finds every event that stays, once, though events are added, deleted and saved again during it."""
        events.save_many(Event(f"{n:04}", "s", n) for n in range(1100))
        seen = []
        for event in events.search(0, 1099):
            seen.append(event.id)
            if event.timestamp % 100 == 0:
                events.delete(event.id)
                events.save_many([Event("0600", "s", 600, content="again"), Event(f"+{event.id}", "s", 0)])
        assert [own_id for own_id in seen if own_id[0] != "+"] == [f"{n:04}" for n in range(1100)]

    def test_a_live_search_returns_later_saves(self, six: BackendEventStore, open_events: OpenEvents) -> None:
        """``follow`` returns the stored events and then those that are saved, late ones too, and ends when closed."""
        other = open_events(six.backend.namespace)
        live = six.search(120, flags=["a"], follow=True)
        assert [next(live).id for _ in range(2)] == ["e2", "e5"]
        timer = threading.Timer(patience.seconds, live.close)
        timer.start()
        other.save(Event("old", "s", 50, ["a"]))
        other.save(Event("other", "s", 500, ["b"]))
        other.save_many([Event("new", "s", 500, ["a"]), Event("late", "s", 121, ["a"])])
        assert sorted(next(live).id for _ in range(2)) == ["late", "new"]
        other.save(Event("e5", "s", 150, ["a"], "again"))
        assert next(live) == Event("e5", "s", 150, ["a"], "again")
        live.close()
        timer.cancel()
        assert list(live) == []
        limited = six.search(150, follow=True, limit=1)
        assert _ids(limited) == ["e5"]

    def test_a_closed_store_refuses(self, open_events: OpenEvents) -> None:
        """Closing twice is no error, and every later call raises an error of its kind."""
        store = open_events()
        store.save(Event("1", "s", 1))
        live, waiting = store.search(1, follow=True), store.search(1, follow=True)
        assert next(live).id == next(waiting).id == "1"
        found: list[Event] = []
        thread = threading.Thread(target=lambda: found.extend(waiting))
        thread.start()
        search = store.search(1)
        store.close()
        store.close()
        thread.join(patience.seconds)
        assert not thread.is_alive()
        assert found == list(live) == []
        with pytest.raises(EventReadException, match="closed"):
            next(search)
        for write in (lambda: store.save(Event("1", "s")), lambda: store.delete("1"), lambda: store.prune(1)):
            with pytest.raises(EventWriteException, match="closed"):
                write()
        for read in (lambda: store.get("1"), lambda: store.search(1), store.flags, store.sources, store.count):
            with pytest.raises(EventReadException, match="closed"):
                read()


def _six() -> list[Event]:
    return [Event(f"e{n}", "s", 100 + 10 * n, TAGS[n], CONTENTS[n]) for n in range(6)]


def _ids(events: Iterable[Event]) -> list[str]:
    return [event.id for event in events]


def _place(event: Event) -> tuple[float, str]:
    return event.timestamp, event.id


def _walk(store: BackendEventStore, size: int, **arguments: Any) -> list[str]:
    """Return the ids that a walk by cursor finds, with pages of one size."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        search = store.search(-1e300, limit=size, after=cursor, **arguments)
        page = _ids(search)
        found += page
        if len(page) < size:
            return found
        cursor = search.cursor
