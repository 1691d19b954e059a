"""Finding the differences between two stores, and removing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeVar

from feedstore.events.layout import EntrySerializer, IndexEntry
from feedstore.ids import id_to_text
from feedstore.serializers.values import pack_value, unpack_value
from feedstore.shown import shown
from feedstore.storage import Backend, Page
from feedstore.storage.bounds import OLDEST_FIRST

KEYS_A_READ = 50
ENTRIES_A_READ = 500
_WRITTEN_TOGETHER = 500
_KEPT_EXAMPLES = 20
_Item = TypeVar("_Item")
_Key = TypeVar("_Key", int, str)
_Value = TypeVar("_Value")

MISSING, EXTRA, OTHER = "missing", "too many", "different"
"""The kinds of differences of the target from the source."""


@dataclass
class Differences:
    """The differences between two stores.

    Attributes:
        counts: Their numbers by their kinds, such as ``missing activities``.
        examples: The first 20, each with the name of the activity, entry, timeline or item.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """The number of all differences."""
        return self.counts.total()

    def note(self, kind: str, plural: str, name: str) -> None:
        """Count a difference."""
        self.counts[f"{kind} {plural}"] += 1
        if len(self.examples) < _KEPT_EXAMPLES:
            self.examples.append(f"{kind}: {name}")


class Reconciliation:
    """A walk over the parts of two stores that have the same names.

    It holds 1,000 activities or items, or the entries of 50 timelines with 500 of each, from both stores.

    Args:
        source: The store to compare with.
        target: The store that may differ.
        repairs: Whether the walk changes the target so that it equals the source.
        step: Called after each part of the walk.

    Attributes:
        found: The differences.
    """

    def __init__(self, source: Backend, target: Backend, repairs: bool, step: Callable[[], None]) -> None:
        self.found = Differences()
        self._source = source
        self._target = target
        self._repairs = repairs
        self._step = step

    def activities(self, collection: str) -> None:
        """Compare the activities of a collection, in the order of their ids."""
        source = self._source.activity_storage(EntrySerializer, name=collection)
        target = self._target.activity_storage(EntrySerializer, name=collection)
        found = merged(source.iterate(), target.iterate())
        self._reconcile(found, "activities", "the activity {}", target.remove_many, target.add_many)

    def _reconcile(
        self,
        found: Iterator[tuple[int, bytes | None, bytes | None]],
        plural: str,
        name: str,
        remove: Callable[[Sequence[int]], Any],
        add: Callable[[Sequence[IndexEntry]], Any],
    ) -> None:
        """Note the differences of activities or entries, and remove them by two functions."""
        removed, added = _Chunk(remove, self._step), _Chunk(add, self._step)
        for activity_id, one, other in found:
            self._note(plural, name.replace("{}", id_to_text(activity_id), 1), one, other)
            if self._repairs and one is None:
                removed.add(activity_id)
            elif self._repairs and one is not None:
                added.add(IndexEntry(activity_id, one))
        removed.flush()
        added.flush()

    def items(self, name: str) -> None:
        """Compare the items of a key-value storage, in the order of their keys."""
        source, target = self._source.kv_storage(name), self._target.kv_storage(name)
        changed: _Chunk[tuple[str, Any]] = _Chunk(self._write_items(name), self._step)
        packed = (((key, pack_value(value)) for key, value in items) for items in (source.items(), target.items()))
        for key, one, other in merged(*packed):
            self._note("items", f"the item {shown(key, 80)} of {shown(name, 80)}", one, other)
            if self._repairs:
                changed.add((key, _ABSENT if one is None else unpack_value(one)))
        changed.flush()

    def _write_items(self, name: str) -> Callable[[Sequence[tuple[str, Any]]], None]:
        def write(changes: Sequence[tuple[str, Any]]) -> None:
            with self._target.batch() as batch:
                items = batch.kv(name)
                for key, value in changes:
                    if value is _ABSENT:
                        items.delete(key)
                    else:
                        items.upsert(key, value)

        return write

    def timelines(self, collection: str) -> None:
        """Compare the timelines of a collection: entries, payloads and floors."""
        source = self._source.timeline_storage(EntrySerializer, name=collection)
        target = self._target.timeline_storage(EntrySerializer, name=collection)
        for keys in in_lists(source.keys(), KEYS_A_READ):
            pages = source.get_many_pages(keys, ENTRIES_A_READ, ordering_args=OLDEST_FIRST)
            others = target.get_many_pages(keys, ENTRIES_A_READ, ordering_args=OLDEST_FIRST)
            for key in keys:
                self._timeline(source, target, key, pages[key], others[key])
            self._step()
        for keys in in_lists(target.keys(), KEYS_A_READ):
            gone = [key for key, page in source.get_many_pages(keys, 1).items() if not page.items]
            for key in gone:
                self._note("timelines", f"the timeline {shown(key, 80)}", None, b"")
                if self._repairs:
                    target.delete(key)
            self._step()

    def _timeline(self, source: Any, target: Any, key: str, page: Page[IndexEntry], other: Page[IndexEntry]) -> None:
        floor = page.floor
        if other.floor != floor:
            self._note("floors", f"the floor of the timeline {shown(key, 80)}", b"", b"-")
            if self._repairs and (floor is None or (other.floor is not None and other.floor > floor)):
                # Only a deletion lowers a floor.
                target.delete(key)
                other = Page.of([], None, None, False)
        found = merged(all_entries(source, key, page), all_entries(target, key, other))
        remove, add = partial(target.remove_many, key), partial(target.add_many, key)
        self._reconcile(found, "entries", f"the entry {{}} of {shown(key, 80)}", remove, add)
        if self._repairs and floor is not None and other.floor != floor:
            raise_floor(source, target, key, floor)

    def _note(self, plural: str, name: str, one: bytes | None, other: bytes | None) -> None:
        self.found.note(MISSING if other is None else EXTRA if one is None else OTHER, plural, name)


_ABSENT = object()


def raise_floor(source: Any, target: Any, key: str, floor: int) -> None:
    """Give a timeline of the target, which holds the entries of the source, the floor of the source.

    The entries below the floor, which were added late, are stored again. A floor is one more than the newest entry that
    was dropped, so an entry of that id is added and trimmed.
    """
    length = target.count(key, {"activity_id__gte": floor})
    target.add(key, IndexEntry(floor - 1, b""))
    target.trim(key, length)
    bounds = {"activity_id__lt": floor}
    start = 0
    while late := source.get_slice(key, start, start + ENTRIES_A_READ, bounds):
        target.add_many(key, late)
        start += len(late)


def all_entries(storage: Any, key: str, page: Page[IndexEntry]) -> Iterator[IndexEntry]:
    """Yield the entries of a timeline from a first page on, oldest first."""
    while True:
        yield from page.items
        if page.next_cursor is None:
            return
        page = storage.get_page(key, ENTRIES_A_READ, page.next_cursor, OLDEST_FIRST)


def merged(
    source: Iterator[tuple[_Key, bytes]], target: Iterator[tuple[_Key, bytes]]
) -> Iterator[tuple[_Key, bytes | None, bytes | None]]:
    """Yield each key whose values differ, with the value of the source and that of the target, None if absent.

    Both have ascending keys.
    """
    one, other = next(source, None), next(target, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[0], one[1], None
            one = next(source, None)
        elif one is None or other[0] < one[0]:
            yield other[0], None, other[1]
            other = next(target, None)
        else:
            if one[1] != other[1]:
                yield one[0], one[1], other[1]
            one, other = next(source, None), next(target, None)


def in_lists(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yield the items in lists of ``size``, the last of which may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


class _Chunk(Generic[_Item]):
    """Changes that are written together, 500 at most."""

    def __init__(self, write: Callable[[Sequence[_Item]], Any], step: Callable[[], None]) -> None:
        self._write = write
        self._step = step
        self._items: list[_Item] = []

    def add(self, item: _Item) -> None:
        """Add a change, and write the collected ones if there are enough."""
        self._items.append(item)
        if len(self._items) == _WRITTEN_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write the collected changes."""
        if self._items:
            self._write(self._items)
            self._items = []
            self._step()
