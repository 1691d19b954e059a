"""The contract of deliveries with limits, and of the reads that merging and counting need."""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple

import pytest

from feedstore.activity import Activity
from feedstore.errors import AtomicityError, InvalidValueError
from feedstore.ids import MAX_ID
from feedstore.serializers import Serializer
from feedstore.storage import AtomicScope, Backend, TimelineStorage
from feedstore.storage.page import encode_cursor
from feedstore.testing.samples import NEWEST_FIRST, OLDEST_FIRST, ids_of, make_activities, make_activity, with_id
from feedstore.testing.suite import Suite, counted
from feedstore.testing.walks import pages_of


class GroupSerializer(Serializer):
    """Keeps the actor of an activity as its payload, and reads the payload back."""

    def dumps(self, activity: Any) -> bytes:
        """Return the actor's bytes; a bare id has no payload."""
        return str(activity.actor).encode() if isinstance(activity, Activity) else b""

    def loads(self, data: bytes, activity_id: int) -> Any:
        """Return the id and the actor."""
        return activity_id, data.decode()


def by(actor: str, *ids: int) -> list[Activity]:
    """Return activities of an actor with the ids."""
    return [Activity(actor, "like", "photo:7", id=activity_id) for activity_id in ids]


class Raw(NamedTuple):
    """An entry with a payload of any bytes."""

    serialization_id: int
    payload: bytes


class RawSerializer(Serializer):
    """A serializer of any bytes."""

    def dumps(self, activity: Any) -> bytes:
        """Return the payload of an entry."""
        return bytes(activity.payload)

    def loads(self, data: bytes, activity_id: int) -> Raw:
        """Return an entry."""
        return Raw(activity_id, data)


class DeliverySuite(Suite):
    """``add_to_each``, limits by payload, and companions."""

    @pytest.fixture
    def groups(self, backend: Backend) -> TimelineStorage[Any]:
        """A timeline storage whose payloads are the actors."""
        return backend.timeline_storage(serializer_class=GroupSerializer)

    def test_each_timeline_gets_its_own(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T19: the count is of new deliveries; an empty list makes no timeline."""
        timelines.add("a", 1)
        assert timelines.add_to_each({"a": [1, 2], "b": [3, 3], "c": []}) == counted(backend, 2)
        assert [timelines.count(key) for key in "abc"] == [2, 1, 0]
        assert sorted(timelines.keys()) == ["a", "b"]
        assert timelines.add_to_each({}) == timelines.add_to_each({"a": []}) == 0

    def test_each_of_many_timelines(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T19: more timelines and entries than one request holds; each is trimmed."""
        deliveries = {f"key:{number}": range(number, number + 3) for number in range(1_200)}
        assert timelines.add_to_each(deliveries, max_length=2) == counted(backend, 3_600)
        for number in (0, 1, 599, 1_199):
            newest = ids_of(timelines.get_slice(f"key:{number}", 0, 2))
            assert newest == [number + 2, number + 1]

    def test_the_newest_of_each_payload_stay(self, groups: TimelineStorage[Any]) -> None:
        """T20: of the entries that share a payload the newest m stay, of the others all."""
        groups.add_many("key", [*by("ann", 1, 2, 3), *by("bob", 4), 5])
        groups.add_to_many(["key", "new"], [*by("ann", 6, 7), *by("eve", 8, 9, 10)], max_per_payload=2)
        newest = [(10, "eve"), (9, "eve"), (7, "ann"), (6, "ann")]
        assert groups.get_slice("key", 0, None) == [*newest, (5, ""), (4, "bob")]
        assert groups.get_slice("new", 0, None) == newest
        assert (groups.count("key"), groups.count("new")) == (6, 4)

    def test_a_late_entry_of_a_full_payload_goes(self, groups: TimelineStorage[Any]) -> None:
        """T20: an entry that is older than the newest m of its payload does not stay."""
        groups.add_to_many(["key"], by("ann", 5, 6), max_per_payload=2)
        groups.add_to_many(["key"], by("ann", 1), max_per_payload=2)
        assert groups.get_slice("key", 0, None) == [(6, "ann"), (5, "ann")]

    def test_entries_without_payload_all_stay(self, timelines: TimelineStorage) -> None:
        """T20: references share no payload."""
        timelines.add_to_many(["key"], [1, 2, 3, 4], max_per_payload=2)
        assert timelines.count("key") == 4

    def test_a_limit_by_payload_is_no_trim(self, groups: TimelineStorage[Any]) -> None:
        """T20: dropped entries count as removed: the floor stays, and the last page is complete."""
        groups.add_to_many(["key"], by("ann", 1, 2, 3), max_per_payload=1)
        page = groups.get_page("key", 5)
        assert (page.items, page.floor, page.complete) == ([(3, "ann")], None, True)

    def test_a_walk_misses_nothing_that_is_retained(self, groups: TimelineStorage[Any]) -> None:
        """T16: with limits by payload too."""
        groups.add_many("key", [*by("ann", *range(10, 20)), *by("bob", *range(30, 40))])
        seen: list[Any] = []
        cursor = None
        for number in range(40, 60):
            page = groups.get_page("key", 2, cursor)
            seen += page.items
            cursor = page.next_cursor
            groups.add_to_many(["key"], by("ann", number), max_per_payload=3)
            if cursor is None:
                break
        assert [entry for entry in seen if entry[1] == "bob"] == [(number, "bob") for number in range(39, 29, -1)]
        assert len(seen) == len(set(seen))

    def test_both_limits(self, backend: Backend, groups: TimelineStorage[Any]) -> None:
        """T20, T17: the limit by payload is applied before the timeline is trimmed, so the newest others stay."""
        groups.add_many("key", by("bob", 1, 2, 3))
        added = groups.add_to_many(["key"], by("ann", 4, 5, 6), max_length=4, max_per_payload=2)
        assert added == counted(backend, 3)
        newest = groups.get_slice("key", 0, 4)
        assert newest == [(6, "ann"), (5, "ann"), (3, "bob"), (2, "bob")]
        if backend.abilities.exact_fan_out_length:
            assert groups.count("key") == 4
            assert groups.get_page("key", 9).floor == 2

    def test_new_entries_reach_companions(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T21: an entry that is new in a timeline is added to each companion in the same step."""
        added = timelines.add_to_many(["{a}", "{b}"], [1, 2], companions=[":unseen", ":unread"])
        assert added == counted(backend, 4)
        for key in ("{a}", "{a}:unseen", "{a}:unread", "{b}", "{b}:unseen", "{b}:unread"):
            assert ids_of(timelines.get_slice(key, 0, None)) == [2, 1]

    def test_a_retry_brings_nothing_back(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T21: an entry that was there already reaches no companion, also if the companion has lost it since."""
        timelines.add_to_many(["{a}"], [1, 2], companions=[":unseen"])
        timelines.remove("{a}:unseen", 1)
        assert timelines.add_to_many(["{a}"], [1, 2, 3], companions=[":unseen"]) == counted(backend, 1)
        assert ids_of(timelines.get_slice("{a}:unseen", 0, None)) == [3, 2]
        assert timelines.add_to_each({"{a}": [1, 3]}, companions=[":unseen"]) == counted(backend, 0)
        assert ids_of(timelines.get_slice("{a}:unseen", 0, None)) == [3, 2]

    def test_companions_keep_payloads(self, groups: TimelineStorage[Any]) -> None:
        """T21: an entry is the same in a companion."""
        groups.add_to_each({"{a}": by("ann", 1), "{b}": by("bob", 2)}, companions=[":unseen"])
        assert groups.get_slice("{a}:unseen", 0, None) == [(1, "ann")]
        assert groups.get_slice("{b}:unseen", 0, None) == [(2, "bob")]

    def test_companions_drop_what_goes(self, backend: Backend, groups: TimelineStorage[Any]) -> None:
        """T21: a delivery drops the same entries, by length or by payload, from a timeline and its companions."""
        if not backend.abilities.exact_fan_out_length:
            pytest.skip("this backend may keep older entries until the next trim")
        groups.add_to_many(["{a}"], [*by("ann", 1, 2), *by("bob", 3)], companions=[":unseen"])
        groups.add_to_many(["{a}"], by("ann", 4, 5), companions=[":unseen"], max_per_payload=2)
        assert [one for one, _ in groups.get_slice("{a}:unseen", 0, None)] == [5, 4, 3]
        groups.add_to_many(["{a}"], by("eve", 6), companions=[":unseen"], max_length=2)
        assert [one for one, _ in groups.get_slice("{a}", 0, None)] == [6, 5]
        assert [one for one, _ in groups.get_slice("{a}:unseen", 0, None)] == [6, 5]

    def test_limits_in_a_batch(self, backend: Backend, groups: TimelineStorage[Any]) -> None:
        """Decision 5: deliveries with limits join a batch, whose later writes see its earlier ones."""
        if not backend.abilities.atomic_deliveries:
            with pytest.raises(AtomicityError), backend.batch() as refused:
                groups.add_to_many(["{a}"], by("ann", 1), max_per_payload=2, batch_interface=refused)
            assert groups.count("{a}") == 0
            return
        with backend.batch(atomic=backend.abilities.atomic_scope in (AtomicScope.BACKEND, AtomicScope.SLOT)) as batch:
            groups.add_to_many(["{a}"], by("ann", 1, 2), max_per_payload=2, batch_interface=batch)
            groups.add_to_many(["{a}"], by("ann", 3), max_per_payload=2, batch_interface=batch)
            groups.add_to_each({"{a}": by("bob", 4)}, companions=[":unseen"], batch_interface=batch)
        assert groups.get_slice("{a}", 0, None) == [(4, "bob"), (3, "ann"), (2, "ann")]
        assert groups.get_slice("{a}:unseen", 0, None) == [(4, "bob")]


class MergeReadsSuite(Suite):
    """``contains_many``, ``count`` within a filter, and ``get_many_pages``."""

    def test_contains_many(self, timelines: TimelineStorage) -> None:
        """T18: the ids that are there, as ints, from every form of an id."""
        timelines.add_many("key", [0, 2, 2**53, 2**53 + 1, MAX_ID])
        assert timelines.contains_many("key", [0, 1, with_id(2), 2**53 + 1, 2**53 + 2, MAX_ID, 0]) == {
            *(0, 2, 2**53 + 1, MAX_ID)
        }
        assert timelines.contains_many("key", []) == timelines.contains_many("never", [1]) == set()
        with pytest.raises((ValueError, TypeError)):
            timelines.contains_many("", [1])

    def test_contains_many_of_many(self, timelines: TimelineStorage) -> None:
        """T18: more ids than one request holds."""
        timelines.add_many("key", range(0, 3_000, 3))
        assert timelines.contains_many("key", range(2_500)) == set(range(0, 2_500, 3))

    def test_counting_within_a_filter(self, timelines: TimelineStorage) -> None:
        """T18: exact at both ends of the ids."""
        timelines.add_many("key", [0, 1, 2**53, 2**53 + 1, MAX_ID - 1, MAX_ID])
        assert timelines.count("key", {"activity_id__gt": 0}) == 5
        assert timelines.count("key", {"activity_id__gte": 2**53, "activity_id__lt": MAX_ID}) == 3
        assert timelines.count("key", {"activity_id__lte": 2**53}) == 3
        assert timelines.count("key", {"activity_id__lt": 0}) == 0
        assert timelines.count("key", {"activity_id__gt": MAX_ID}) == 0
        assert timelines.count("key", {}) == timelines.count("key", None) == 6
        assert timelines.count("never", {"activity_id__gt": 0}) == 0
        unknown: Any = {"actor": "ann"}
        with pytest.raises(ValueError, match="actor"):
            timelines.count("key", unknown)

    def test_pages_of_many_timelines(self, timelines: TimelineStorage) -> None:
        """T18: each page is that of ``get_page``, with its floor, in the order of the keys."""
        timelines.add_many("long", range(1, 9))
        timelines.add_many("short", [3, 5])
        timelines.add_many("trimmed", [2, 4, 6])
        timelines.trim("trimmed", 2)
        keys = ["short", "long", "never", "trimmed"]
        for ordering in (None, OLDEST_FIRST):
            pages = timelines.get_many_pages(keys, 3, None, ordering)
            assert list(pages) == keys
            assert pages == {key: timelines.get_page(key, 3, None, ordering) for key in keys}
        assert timelines.get_many_pages([], 3) == {}

    def test_one_cursor_goes_for_all(self, timelines: TimelineStorage) -> None:
        """T18: a cursor of one timeline continues every other, and merging them misses nothing."""
        timelines.add_many("a", range(1, 30, 2))
        timelines.add_many("b", range(2, 21, 2))
        seen: list[int] = []
        cursor = None
        while True:
            pages = timelines.get_many_pages(["a", "b"], 4, cursor)
            merged = sorted({one for page in pages.values() for one in ids_of(page.items)}, reverse=True)[:4]
            if not merged:
                break
            seen += merged
            cursor = encode_cursor(merged[-1], descending=True)
        assert seen == sorted([*range(1, 30, 2), *range(2, 21, 2)], reverse=True)

    def test_hydrated_pages_of_many_timelines(self, backend: Backend, timelines: TimelineStorage) -> None:
        """T18, T12: removed activities are left out, and the cursor continues after them."""
        activities = backend.activity_storage()
        three = make_activities(3)
        activities.add_many(three)
        timelines.add_many("a", three)
        timelines.add_many("b", three[:1])
        activities.remove(three[2])
        pages = timelines.get_many_pages(["a", "b"], 2, hydrate_from=activities)
        assert pages["a"].items == [three[1]]
        assert pages["a"].next_cursor is not None
        assert pages["b"].items == [make_activity(0)]
        rest = timelines.get_many_pages(["a", "b"], 2, pages["a"].next_cursor, hydrate_from=activities)
        assert rest["a"].items == [three[0]]
        merged = timelines.get_merged_page(["a", "b"], 2, hydrate_from=activities)
        assert (merged.items, merged.next_cursor) == ([three[1]], pages["a"].next_cursor)

    @pytest.mark.parametrize("ordering", [NEWEST_FIRST, OLDEST_FIRST], ids=["newest first", "oldest first"])
    def test_a_merged_page_holds_each_entry_once(self, timelines: TimelineStorage, ordering: tuple[str]) -> None:
        """T18: a walk over merged pages is exact within its filter, in either ordering, and knows the newest floor."""
        parts = {"a": range(0, 40, 2), "b": range(0, 30, 3), "c": [7, 2**53, 2**53 + 1, MAX_ID]}
        timelines.add_to_each(parts)
        keys = [*parts, "never"]
        every = sorted({*chain(*parts.values())}, reverse=ordering == NEWEST_FIRST)
        assert merged_walk(timelines, keys, 4, ordering) == (every, [(False, None)] * 7 + [(True, None)])
        within = {"activity_id__gte": 3, "activity_id__lt": 2**53 + 1}
        inner = [one for one in every if 3 <= one < 2**53 + 1]
        assert merged_walk(timelines, keys, 9, ordering, within)[0] == inner
        beyond = timelines.get_merged_page(
            keys, 9, encode_cursor(20, ordering == NEWEST_FIRST), outside(20, ordering), ordering
        )
        assert (beyond.items, beyond.next_cursor) == ([], None)
        timelines.trim("a", 15)
        timelines.trim("b", 9)
        floor = timelines.get_page("a", 1).floor
        kept = [one for one in every if one not in range(0, 10, 2) or one == 6]
        ids, ends = merged_walk(timelines, keys, 100, ordering)
        assert (ids, ends) == (kept, [(False, floor)])
        assert timelines.get_merged_page(keys, 100, None, {"activity_id__gte": 10}, ordering).complete

    def test_a_merged_page_holds_the_payloads_of_the_first_timeline(self, backend: Backend) -> None:
        """T18: an entry of several timelines is that of the first one, regardless of their names."""
        stored: TimelineStorage[Any] = backend.timeline_storage(serializer_class=RawSerializer)
        stored.add_to_each({key: [Raw(1, key.encode()), Raw(2, key.encode())] for key in ("b", "c", "a")})
        stored.add("c", Raw(3, b"c"))
        for keys, ordering in ((["c", "a", "b"], OLDEST_FIRST), (["b", "c", "a"], NEWEST_FIRST)):
            page = stored.get_merged_page(keys, 3, None, None, ordering)
            first = keys[0].encode()
            assert sorted(page.items) == [Raw(1, first), Raw(2, first), Raw(3, b"c")]

    def test_merging_ends_at_the_ends_of_the_ids(self, timelines: TimelineStorage) -> None:
        """T3, T18: nothing follows the lowest id and the highest one; the floors are known nevertheless."""
        timelines.add_to_each({"a": [0, 5, MAX_ID], "b": [5, 7]})
        timelines.trim("b", 1)
        floor = timelines.get_page("b", 1).floor
        ends: list[tuple[Any, int, tuple[str]]] = [
            ({"activity_id__lt": 0}, 0, NEWEST_FIRST),
            ({"activity_id__gt": MAX_ID}, MAX_ID, OLDEST_FIRST),
        ]
        for beyond, last, ordering in ends:
            cursor = encode_cursor(last, ordering == NEWEST_FIRST)
            pages = timelines.get_many_pages(["a", "b"], 2, cursor, ordering)
            assert [(page.items, page.floor) for page in pages.values()] == [([], None), ([], floor)]
            for after, within in ((cursor, None), (None, beyond)):
                page = timelines.get_merged_page(["a", "b"], 2, after, within, ordering)
                assert (page.items, page.next_cursor, page.floor) == ([], None, floor)

    def test_many_timelines_are_merged_in_parts(self, timelines: TimelineStorage) -> None:
        """T18: more timelines than one part holds, where the last ones hold the newest entries, and the first floor."""
        keys = [f"part:{index}" for index in range(1_100)]
        timelines.add_to_each({key: [index, 5_000 + index % 3] for index, key in enumerate(keys)})
        timelines.trim(keys[-1], 1)
        page = timelines.get_merged_page(keys, 5)
        assert ids_of(page.items) == [5_002, 5_001, 5_000, 1_098, 1_097]
        assert (page.floor, page.complete) == (timelines.get_page(keys[-1], 1).floor, False)
        page = timelines.get_merged_page(keys, 5, None, None, OLDEST_FIRST)
        assert ids_of(page.items) == [0, 1, 2, 3, 4]


def outside(activity_id: int, ordering: tuple[str]) -> Any:
    """Return a filter that leaves out the rest of a walk after an id."""
    return {"activity_id__gt" if ordering == NEWEST_FIRST else "activity_id__lt": activity_id}


def merged_walk(
    timelines: TimelineStorage, keys: list[str], limit: int, ordering: tuple[str], within: Any = None
) -> tuple[list[int], list[tuple[bool, int | None]]]:
    """Return the ids of a walk over merged pages, and whether each page was complete, with its floor."""
    pages = list(pages_of(lambda cursor: timelines.get_merged_page(keys, limit, cursor, within, ordering)))
    return ids_of(chain.from_iterable(pages)), [(page.complete, page.floor) for page in pages]


class ColumnsSuite(Suite):
    """``get_columns``: the ids and the payloads of a page, without its objects."""

    @pytest.mark.parametrize("some", [b"\x00\xff,\x80", b"\x00\xff,", b""])
    def test_columns_hold_the_entries_of_a_page(
        self, backend: Backend, timelines: TimelineStorage, some: bytes
    ) -> None:
        """T23: the newest entries with their stored bytes, also if some are empty; the floor is that of a page."""
        stored: TimelineStorage[Any] = backend.timeline_storage(serializer_class=RawSerializer)
        given = [(number << 64, b"'\xc3()" if number % 4 else some) for number in range(1, 13)]
        stored.add_many("key", [Raw(*one) for one in given])
        stored.trim("key", 11)
        columns = stored.get_columns("key", 20)
        assert list(zip(columns.ids, columns.payloads, strict=True)) == given[:0:-1]
        newest_first = [one for one, _ in given[:0:-1]], [payload for _, payload in given[:0:-1]]
        assert (columns.ids, columns.payloads) == newest_first
        assert repr((columns.ids, columns.payloads)) == repr(newest_first)
        assert columns.floor == stored.get_page("key", 1).floor is not None
        assert (len(columns), columns.ids[0], list(columns.ids[1:3])) == (11, 12 << 64, [11 << 64, 10 << 64])
        newest = stored.get_columns("key", 3)
        assert list(zip(newest.ids, newest.payloads, strict=True)) == given[:8:-1]
        within = stored.get_columns("key", 4, {"activity_id__lt": 9 << 64, "activity_id__gte": 4 << 64})
        assert list(zip(within.ids, within.payloads, strict=True)) == given[7:3:-1]
        for empty in (stored.get_columns("never", 5), stored.get_columns("key", 5, {"activity_id__gt": MAX_ID})):
            assert (empty.ids, empty.payloads) == ([], [])
        assert empty.floor == columns.floor
        timelines.add_many("references", [MAX_ID, 0])
        references = timelines.get_columns("references", 5)
        assert (list(references.ids), list(references.payloads)) == ([MAX_ID, 0], [b"", b""])
        with pytest.raises(ValueError, match="limit"):
            stored.get_columns("key", 0)


class DeliveryArgumentSuite(Suite):
    """Deliveries refuse wrong limits and wrong items."""

    def test_one_bad_delivery_and_nothing_is_written(self, timelines: TimelineStorage) -> None:
        """T13: all deliveries of one call are checked before the first is sent."""
        bad: Any
        for bad in ({"a": [1], "b": [object()]}, {"a": [1], "": [2]}, {"a": [1], 7: [2]}, [("a", [1])], {"a": 1}):
            with pytest.raises((ValueError, TypeError)):
                timelines.add_to_each(bad)
        assert list(timelines.keys()) == []

    def test_wrong_limits(self, timelines: TimelineStorage) -> None:
        """T5, T6: a limit that cannot be kept is refused, before anything is written."""
        add: Any = timelines.add_to_many
        refused: tuple[dict[str, Any], ...] = (
            {"max_per_payload": 0},
            {"max_per_payload": -1},
            {"max_per_payload": "2"},
            {"slack": -1},
            {"max_length": 1, "slack": "2"},
            {"companions": [""]},
            {"companions": "unseen"},
            {"companions": [7]},
            {"companions": ["x" * 1024]},
        )
        for options in refused:
            with pytest.raises((ValueError, TypeError)):
                add(["a"], [1], **options)
        with pytest.raises(InvalidValueError, match="companion"):
            add(["a", "a:unseen"], [1], companions=[":unseen"])
        assert list(timelines.keys()) == []
