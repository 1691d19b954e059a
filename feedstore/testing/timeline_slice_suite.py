"""The contract of slices: positions, filters, orderings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from operator import ge, gt, le, lt
from typing import Any

import pytest

from feedstore.ids import MAX_ID
from feedstore.storage import Filter, TimelineStorage
from feedstore.testing.samples import (
    HARD_IDS,
    NEWEST_FIRST,
    OLDEST_FIRST,
    REFUSED_IDS,
    forms_of,
    ids_of,
    make_activity,
    of_one_millisecond,
)
from feedstore.testing.suite import Suite

POSITIONS = (None, 0, 1, 2, 5, 12, 13, 14, 1_000, 2**40)
OPERATORS: dict[str, Callable[[int, int], bool]] = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
ORDERINGS: tuple[tuple[str, ...] | None, ...] = (None, NEWEST_FIRST, OLDEST_FIRST)
BOUNDS = tuple(sorted({max(0, min(MAX_ID, one + step)) for one in HARD_IDS for step in (-1, 0, 1)}))


class TimelineSliceSuite(Suite):
    """``get_slice`` behaves as a Python list."""

    @pytest.mark.parametrize("ordering", ORDERINGS)
    def test_positions_are_those_of_a_list(self, timelines: TimelineStorage, ordering: tuple[str, ...] | None) -> None:
        """T7: every start and stop, in either ordering, also beyond the end and backwards."""
        timelines.add_many("key", HARD_IDS)
        model = in_order(HARD_IDS, ordering)
        for start, stop in product(POSITIONS, POSITIONS):
            found = ids_of(timelines.get_slice("key", start, stop, ordering_args=ordering))
            assert found == model[start:stop], (start, stop)

    @pytest.mark.parametrize("ordering", ORDERINGS)
    def test_positions_count_within_the_filter(
        self, timelines: TimelineStorage, ordering: tuple[str, ...] | None
    ) -> None:
        """T7: a filter first chooses, then positions count."""
        timelines.add_many("key", HARD_IDS)
        bounds: Filter = {"activity_id__gt": 1, "activity_id__lte": 2**127}
        model = in_order([one for one in HARD_IDS if 1 < one <= 2**127], ordering)
        for start, stop in product(POSITIONS, POSITIONS):
            found = ids_of(timelines.get_slice("key", start, stop, bounds, ordering))
            assert found == model[start:stop], (start, stop)

    @pytest.mark.parametrize("operator", sorted(OPERATORS))
    def test_one_filter_is_exact(self, timelines: TimelineStorage, operator: str) -> None:
        """T3: each operator at each id and beside it, 0 and 2**128 - 1 included."""
        timelines.add_many("key", HARD_IDS)
        holds = OPERATORS[operator]
        for bound in BOUNDS:
            model = [one for one in HARD_IDS if holds(one, bound)]
            name = f"activity_id__{operator}"
            bounds: Any = {name: bound}
            assert ids_of(timelines.get_slice("key", 0, None, bounds)) == model[::-1], (name, bound)
            assert ids_of(timelines.get_slice("key", 0, 2, bounds, OLDEST_FIRST)) == model[:2], (name, bound)

    @pytest.mark.parametrize(("below", "above"), list(product(("lt", "lte"), ("gt", "gte"))))
    def test_two_filters_are_both_honoured(self, timelines: TimelineStorage, below: str, above: str) -> None:
        """T3, T5: filters on both ends together, also if no id lies between them."""
        timelines.add_many("key", HARD_IDS)
        for low, high in product(BOUNDS[::2], BOUNDS[1::2]):
            bounds: Any = {f"activity_id__{below}": high, f"activity_id__{above}": low}
            model = [one for one in HARD_IDS if OPERATORS[below](one, high) and OPERATORS[above](one, low)]
            assert ids_of(timelines.get_slice("key", None, None, bounds)) == model[::-1], bounds

    def test_all_four_filters_at_once(self, timelines: TimelineStorage) -> None:
        """T5: of two filters on one end the tighter one holds."""
        timelines.add_many("key", range(20))
        for lt_, lte, gt_, gte in product((5, 9, 12), (5, 9, 12), (2, 6, 11), (2, 6, 11)):
            bounds: Filter = {
                "activity_id__lt": lt_,
                "activity_id__lte": lte,
                "activity_id__gt": gt_,
                "activity_id__gte": gte,
            }
            model = [one for one in range(20) if one < lt_ and one <= lte and one > gt_ and one >= gte]
            assert ids_of(timelines.get_slice("key", 0, None, bounds, OLDEST_FIRST)) == model, bounds

    def test_filters_part_ids_of_one_millisecond(self, timelines: TimelineStorage) -> None:
        """T3: paging by filter through five ids of one millisecond misses none."""
        five = of_one_millisecond(5)
        timelines.add_many("key", five)
        bounds: Filter = {}
        seen = []
        while found := timelines.get_slice("key", 0, 1, bounds):
            seen += ids_of(found)
            bounds = {"activity_id__lt": found[-1]}
        assert seen == ids_of(five)[::-1]

    def test_a_filter_takes_every_form_of_an_id(self, timelines: TimelineStorage) -> None:
        """T2: an activity, a reference, an int, a UUID and its text bound alike."""
        timelines.add_many("key", [make_activity(number) for number in range(5)])
        for form in forms_of(make_activity(2)):
            found = timelines.get_slice("key", 0, None, {"activity_id__gt": form}, OLDEST_FIRST)
            assert found == [make_activity(3).reference, make_activity(4).reference]

    def test_filters_are_not_changed(self, timelines: TimelineStorage) -> None:
        """T4: the filter and the ordering stay as they were handed in."""
        bounds: Filter = {"activity_id__gt": make_activity()}
        ordering = ["activity_id"]
        timelines.get_slice("key", 0, 5, bounds, ordering)
        timelines.get_many_slices(["key"], 0, 5, bounds, ordering)
        assert bounds == {"activity_id__gt": make_activity()}
        assert ordering == ["activity_id"]

    def test_no_filter_and_an_empty_filter_are_all(self, timelines: TimelineStorage) -> None:
        """T5: None, no names and no ordering are the default."""
        timelines.add_many("key", HARD_IDS)
        filters: tuple[dict[str, Any] | None, ...] = (None, {})
        for filter_kwargs, ordering in product(filters, (None, (), [], NEWEST_FIRST, ["-activity_id"])):
            assert ids_of(timelines.get_slice("key", 0, None, filter_kwargs, ordering)) == list(HARD_IDS[::-1])

    def test_a_timeline_that_is_not_there_is_empty(self, timelines: TimelineStorage) -> None:
        """T7: a missing key reads as an empty list, in every way of reading."""
        assert timelines.get_slice("key", 0, None) == []
        assert timelines.get_slice("key", 5, 9, {"activity_id__lt": 5}, OLDEST_FIRST) == []
        assert timelines.get_many_slices(["key", "other"], 0, 5) == {"key": [], "other": []}

    def test_a_deep_slice(self, timelines: TimelineStorage) -> None:
        """T7: positions far into a timeline of 10,000 are exact in either ordering."""
        ids = list(range(10_000))
        timelines.add_many("key", ids)
        assert ids_of(timelines.get_slice("key", 9_990, None)) == ids[9::-1]
        assert ids_of(timelines.get_slice("key", 5_000, 5_003, ordering_args=OLDEST_FIRST)) == [5_000, 5_001, 5_002]
        assert ids_of(timelines.get_slice("key", 4_000, 4_002, {"activity_id__lt": 9_000})) == [4_999, 4_998]


class ManySlicesSuite(Suite):
    """``get_many_slices``: the same slice of many timelines."""

    def test_each_is_as_get_slice_gives_it(self, timelines: TimelineStorage) -> None:
        """T7: every option holds for every timeline."""
        for number in range(5):
            timelines.add_many(f"key{number}", HARD_IDS[number : number + 8])
        keys = [f"key{number}" for number in (3, 0, 4, 1, 9)]
        bounds: Filter = {"activity_id__gte": 2, "activity_id__lt": MAX_ID}
        for (start, stop), filter_kwargs, ordering in product(
            ((0, 2), (1, None), (None, None), (3, 3), (7, 9)), (None, bounds), ORDERINGS
        ):
            found = timelines.get_many_slices(keys, start, stop, filter_kwargs, ordering)
            expected = {key: timelines.get_slice(key, start, stop, filter_kwargs, ordering) for key in keys}
            assert found == expected
            assert list(found) == keys

    def test_keys_keep_their_order_and_come_once(self, timelines: TimelineStorage) -> None:
        """T7: the dictionary has the order of the keys; a key that comes twice is one."""
        timelines.add_to_many(["b", "a"], [5])
        assert list(timelines.get_many_slices(["b", "c", "a", "b"], 0, 5)) == ["b", "c", "a"]
        assert timelines.get_many_slices([], 0, 5) == {}
        assert list(timelines.get_many_slices(iter(["b", "a"]), 0, 5)) == ["b", "a"]

    def test_slices_a_thousand_timelines(self, timelines: TimelineStorage) -> None:
        """T7: the keys of one call may be more than any one statement or message can hold."""
        keys = [f"key{number}" for number in range(1_500)]
        timelines.add_to_many(keys, [1, 2, 3])
        timelines.add(keys[700], 4)
        found = timelines.get_many_slices(keys, 0, 2)
        assert list(found) == keys
        assert ids_of(found[keys[700]]) == [4, 3]
        assert all(ids_of(found[key]) == [3, 2] for key in keys if key != keys[700])

    def test_payloads_come_with_their_own_timeline(self, payloads: TimelineStorage) -> None:
        """T1: the payload of an id may differ from timeline to timeline."""
        first, second = (make_activity(id=5, extra_context={"note": note}) for note in (1, 2))
        payloads.add("first", first)
        payloads.add("second", second)
        assert payloads.get_many_slices(["first", "second"], 0, 5) == {"first": [first], "second": [second]}


class TimelineSliceArgumentSuite(Suite):
    """Invalid filters, orderings and positions, which slices refuse."""

    @pytest.mark.parametrize(
        ("refused", "error", "named"),
        [
            ({"activity_id__ne": 5}, ValueError, "activity_id__ne"),
            ({"activity_id": 5}, ValueError, "activity_id"),
            ({"id__lt": 5}, ValueError, "id__lt"),
            ({"activity_id__lt": 5, "verb": "like"}, ValueError, "verb"),
            ({5: 5}, ValueError, "5"),
            ([("activity_id__lt", 5)], TypeError, "filter_kwargs"),
            ("activity_id__lt", TypeError, "filter_kwargs"),
            (5, TypeError, "filter_kwargs"),
        ],
    )
    def test_an_unknown_filter_is_refused(
        self, timelines: TimelineStorage, refused: Any, error: type[Exception], named: str
    ) -> None:
        """T5: a filter is honoured or refused with an error that names it."""
        for read in slice_readers(timelines):
            with pytest.raises(error, match=named):
                read(filter_kwargs=refused)

    @pytest.mark.parametrize(("refused", "error"), REFUSED_IDS)
    def test_a_filter_by_what_is_no_id_is_refused(
        self, timelines: TimelineStorage, refused: Any, error: type[Exception]
    ) -> None:
        """T5: a bound out of range or of another type is refused."""
        for read, operator in product(slice_readers(timelines), OPERATORS):
            with pytest.raises(error):
                read(filter_kwargs={f"activity_id__{operator}": refused})

    @pytest.mark.parametrize(
        "refused",
        [("time",), ("-time",), ("activity_id", "-activity_id"), ("+activity_id",), ("",), "activity_id", (7,), 7, {7}],
    )
    def test_an_unknown_ordering_is_refused(self, timelines: TimelineStorage, refused: Any) -> None:
        """T5: an ordering is honoured, or refused with an error that lists the valid orderings."""

        def read_page(**options: Any) -> Any:
            return timelines.get_page("key", 5, **options)

        for read in (*slice_readers(timelines), read_page):
            with pytest.raises((TypeError, ValueError), match="-activity_id"):
                read(ordering_args=refused)

    @pytest.mark.parametrize(("start", "stop"), [(-1, 5), (0, -1), (-5, -1), (None, -1), (-1, None), (-(2**70), 0)])
    def test_a_negative_position_is_refused(self, timelines: TimelineStorage, start: Any, stop: Any) -> None:
        """T6: positions count from the start of the ordering only."""
        with pytest.raises(ValueError, match=r"0 or more"):
            timelines.get_slice("key", start, stop)
        with pytest.raises(ValueError, match=r"0 or more"):
            timelines.get_many_slices(["key"], start, stop)

    @pytest.mark.parametrize("refused", ["0", 1.0, True, b"1", object()])
    def test_a_position_of_another_type_is_refused(self, timelines: TimelineStorage, refused: Any) -> None:
        """T5: a position is an int."""
        for start, stop in ((refused, 5), (0, refused)):
            with pytest.raises(TypeError):
                timelines.get_slice("key", start, stop)
            with pytest.raises(TypeError):
                timelines.get_many_slices(["key"], start, stop)

    def test_slices_one_key_where_many_are_wanted_is_refused(self, timelines: TimelineStorage) -> None:
        """T5: a str in the place of a list raises a TypeError, and is not read as a list of characters."""
        for refused in ("key", 7, None):
            keys: Any = refused
            with pytest.raises(TypeError):
                timelines.get_many_slices(keys, 0, 5)


def in_order(ids: Any, ordering: tuple[str, ...] | None) -> list[int]:
    """Return the ids in an ordering."""
    return sorted(ids, reverse=ordering != OLDEST_FIRST)


def slice_readers(timelines: TimelineStorage) -> Iterator[Callable[..., Any]]:
    """Yield each way of reading a slice, as a callable that takes its options; of some of a timeline and of none."""
    yield lambda **options: timelines.get_slice("key", 0, 5, **options)
    yield lambda **options: timelines.get_slice("key", 5, 5, **options)
    yield lambda **options: timelines.get_many_slices(["key"], 0, 5, **options)
    yield lambda **options: timelines.get_many_slices([], 0, 5, **options)
