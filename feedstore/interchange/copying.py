"""Copying one store into another, also while the source is in use."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from feedstore.errors import InvalidValueError
from feedstore.events.layout import EntrySerializer, IndexEntry
from feedstore.interchange.comparing import (
    ENTRIES_A_READ,
    KEYS_A_READ,
    Differences,
    Reconciliation,
    all_entries,
    in_lists,
    raise_floor,
)
from feedstore.privacy.scope import OWN_COLLECTIONS
from feedstore.shown import shown
from feedstore.storage import Backend, Page
from feedstore.storage.backend import checked_backend
from feedstore.storage.bounds import OLDEST_FIRST

COPY_STATE = "feedstore-copy"
"""The key-value storage of the target that holds the state of the copy. It is not copied."""
COPY, CATCH_UP, COMPARE = "copy", "catch-up", "compare"
PASSES = (COPY, CATCH_UP, COMPARE)
_ACTIVITIES_A_STEP = 500
_COUNTED = 5000
_TIMELINES, _ITEMS = "timelines", "items"


@dataclass
class CopyReport:
    """The result of a copy.

    Attributes:
        activities: The activities that the first pass copied.
        timelines: The timelines that it copied.
        entries: Their entries.
        items: The items of key-value storages that it copied.
        caught_up: The differences that the second pass found and removed.
        differences: The differences that the comparison found at the end.
        queues: The queues, whose messages are not copied. None if the source cannot name them.
        hidden_collections: Whether the source has collections that it cannot name, and that were not copied.
        is_resumed: Whether the run continued an interrupted one.
        seconds: The duration of the run.
    """

    activities: int = 0
    timelines: int = 0
    entries: int = 0
    items: int = 0
    caught_up: Differences = field(default_factory=Differences)
    differences: Differences = field(default_factory=Differences)
    queues: tuple[str, ...] | None = ()
    hidden_collections: bool = False
    is_resumed: bool = False
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name, for programs."""
        return {
            **{name: getattr(self, name) for name in ("activities", _TIMELINES, "entries", _ITEMS)},
            "caught_up": dict(self.caught_up.counts),
            "differences": dict(self.differences.counts),
            "examples": list(self.differences.examples),
            "queues": None if self.queues is None else list(self.queues),
            "hidden_collections": self.hidden_collections,
            "resumed": self.is_resumed,
            "seconds": round(self.seconds, 3),
        }


def copy_store(
    source: Backend,
    target: Backend | None,
    *,
    passes: Sequence[str] = PASSES,
    collections: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[CopyReport], None] | None = None,
) -> CopyReport:
    """Copy a namespace into another one, of the same store or of another, and return the counts.

    The first pass copies the activities, timelines and key-value storages. The second pass compares both stores, and
    changes the target so that it equals the source, because others may have written to the source during the first
    pass. The third compares them again. Queues, documents and subscriptions are not copied.

    Args:
        source: The namespace to copy. It is only read.
        target: The namespace to write to. With None the parts of the source are counted, and nothing is written.
        passes: The passes to make, in their order. For instance, ``("catch-up", "compare")`` after the writers of the
            source have stopped.
        collections: Names of collections in addition to those that the source can name, and to feedstore's own.
        resume: Whether to continue the interrupted first pass of a copy from the same source.
        overwrite: Whether the target may hold other data, of which the second pass deletes all that the source lacks.
        progress: Called after each step with the counts so far.

    Raises:
        InvalidValueError: The source is the target, or the target holds data of another origin.
        StorageError: A store failed. Copy again with ``resume=True``.
    """
    unknown = [name for name in passes if name not in PASSES]
    if unknown:
        raise InvalidValueError(f"there is no pass {shown(unknown[0])}; the passes are {', '.join(PASSES)}")
    parts = _Parts(checked_backend(source), collections, progress)
    if target is None:
        return parts.count()
    return _Copy(parts, checked_backend(target)).carry_out(set(passes), resume, overwrite)


class _Parts:
    """The storages of the source, and the report on their copy."""

    def __init__(
        self, source: Backend, collections: Sequence[str], progress: Callable[[CopyReport], None] | None
    ) -> None:
        self.source = source
        self.report = CopyReport()
        self._progress = progress
        self._started = time.monotonic()
        self.known = {*OWN_COLLECTIONS, *collections}
        names = source.names(self.known)
        self.report.queues = names.queues
        self.report.hidden_collections = not names.is_complete
        self.collections = sorted({*names.collections, *collections})
        self.kv = [name for name in names.kv if name != COPY_STATE]

    def step(self) -> None:
        """Report the progress."""
        self.report.seconds = time.monotonic() - self._started
        if self._progress is not None:
            self._progress(self.report)

    def count(self) -> CopyReport:
        """Count the parts of the source, and return the report."""
        report = self.report
        for name in self.collections:
            for chunk in in_lists(self.source.activity_storage(EntrySerializer, name=name).iterate(), _COUNTED):
                report.activities += len(chunk)
                self.step()
            timelines = self.source.timeline_storage(name=name)
            for key in timelines.keys():  # noqa: SIM118 - a storage's keys(), not a dictionary's
                report.timelines += 1
                report.entries += timelines.count(key)
            self.step()
        for name in self.kv:
            report.items += sum(1 for _ in self.source.kv_storage(name).items())
        self.step()
        return report


class _Copy:
    """One run of a copy."""

    def __init__(self, parts: _Parts, target: Backend) -> None:
        self._parts = parts
        self._source = parts.source
        self._target = target
        self._report = parts.report
        self._state = target.kv_storage(COPY_STATE)

    def carry_out(self, passes: set[str], resume: bool, overwrite: bool) -> CopyReport:
        """Make the passes."""
        self._refuse_the_source()
        if passes != {COMPARE}:
            self._claim_target(overwrite)
        if COPY in passes:
            self._copy(self._resumed() if resume else None)
        if CATCH_UP in passes:
            self._reconcile(repairs=True)
        if COMPARE in passes:
            self._reconcile(repairs=False)
        self._parts.step()
        return self._report

    def _refuse_the_source(self) -> None:
        source, target = self._source.session, self._target.session
        same_store = source.shares_store_with(target) or (
            source.abilities.shared_between_processes and source.store.label == target.store.label
        )
        if same_store and source.namespace == target.namespace:
            raise InvalidValueError(
                f"the target, {_named(self._target)}, is the source; name another store or namespace"
            )

    def _claim_target(self, may_hold_data: bool) -> None:
        """Check the contents of the target, and store the origin of its copy."""
        origin = self._state.get("origin")
        if origin == _named(self._source):
            return
        if not may_hold_data and (origin is not None or not self._is_empty()):
            held = "data" if origin is None else f"a copy of {shown(origin, 120)}"
            raise InvalidValueError(
                f"{_named(self._target)} holds {held}, and a copy deletes all that the source lacks; name an empty "
                "namespace, or pass overwrite=True (--overwrite)"
            )
        # It is the place in a copy from the other source.
        self._state.delete("place")
        self._state.upsert("origin", _named(self._source))

    def _is_empty(self) -> bool:
        names = self._target.names(self._parts.known)
        if any(
            name != COPY_STATE and next(self._target.kv_storage(name).keys(), None) is not None for name in names.kv
        ):
            return False
        return not any(
            next(self._target.activity_storage(EntrySerializer, name=name).iterate(), None) is not None
            or next(self._target.timeline_storage(name=name).keys(), None) is not None
            for name in names.collections
        )

    def _resumed(self) -> dict[str, Any] | None:
        place: dict[str, Any] | None = self._state.get("place")
        self._report.is_resumed = place is not None
        for name, count in ({} if place is None else place["counts"]).items():
            setattr(self._report, name, count)
        return place

    def _save(self, part: str, name: str, after: Any = None) -> None:
        """Store the place up to which the first pass has copied."""
        counts = {one: getattr(self._report, one) for one in ("activities", _TIMELINES, "entries", _ITEMS)}
        self._state.upsert("place", {"part": part, "name": name, "after": after, "counts": counts})
        self._parts.step()

    def _copy(self, place: dict[str, Any] | None) -> None:
        """Make the first pass, from a place on: activities, then items, then timelines."""
        if place is None:
            self._state.delete("place")
            part, name, after = "activities", "", None
        else:
            part, name, after = place["part"], place["name"], place["after"]
        if part == "activities":
            for collection in self._parts.collections:
                if collection >= name:
                    self._copy_activities(collection, after if collection == name else None)
            part, name, after = _ITEMS, "", None
        if part == _ITEMS:
            for storage in self._parts.kv:
                if storage >= name:
                    self._copy_items(storage, after if storage == name else None)
            part, name = _TIMELINES, ""
        for collection in self._parts.collections:
            # A walk of keys has no place to resume at. The second pass copies the timelines that are missing.
            if collection > name or not name:
                self._copy_timelines(collection)
        self._state.delete("place")

    def _copy_activities(self, collection: str, after: int | None) -> None:
        source = self._source.activity_storage(EntrySerializer, name=collection)
        target = self._target.activity_storage(EntrySerializer, name=collection)
        for chunk in in_lists(source.iterate(after), _ACTIVITIES_A_STEP):
            target.add_many(chunk)
            self._report.activities += len(chunk)
            self._save("activities", collection, chunk[-1].serialization_id)

    def _copy_items(self, name: str, after: str | None) -> None:
        for chunk in in_lists(self._source.kv_storage(name).items(after=after), _ACTIVITIES_A_STEP):
            with self._target.batch() as batch:
                for key, value in chunk:
                    batch.kv(name).upsert(key, value)
            self._report.items += len(chunk)
            self._save(_ITEMS, name, chunk[-1][0])

    def _copy_timelines(self, collection: str) -> None:
        source = self._source.timeline_storage(EntrySerializer, name=collection)
        target = self._target.timeline_storage(EntrySerializer, name=collection)
        for keys in in_lists(source.keys(), KEYS_A_READ):
            pages = source.get_many_pages(keys, ENTRIES_A_READ, ordering_args=OLDEST_FIRST)
            with self._target.batch() as batch:
                for key in keys:
                    if pages[key].next_cursor is None:
                        _add_whole(target, key, pages[key], batch)
                        self._report.entries += len(pages[key].items)
            for key in keys:
                if pages[key].next_cursor is not None:
                    self._copy_long(source, target, key, pages[key])
            self._report.timelines += len(keys)
            self._parts.step()
        self._save(_TIMELINES, collection)

    def _copy_long(self, source: Any, target: Any, key: str, page: Page[IndexEntry]) -> None:
        for chunk in in_lists(all_entries(source, key, page), ENTRIES_A_READ):
            target.add_many(key, chunk)
            self._report.entries += len(chunk)
            self._parts.step()
        if page.floor is not None:
            raise_floor(source, target, key, page.floor)

    def _reconcile(self, repairs: bool) -> None:
        walk = Reconciliation(self._source, self._target, repairs, self._parts.step)
        if repairs:
            self._report.caught_up = walk.found
        else:
            self._report.differences = walk.found
        there = self._target.names(self._parts.known)
        for collection in sorted({*self._parts.collections, *there.collections}):
            # In this order, no entry of the target refers to an activity that was stored during the walk.
            walk.timelines(collection)
            walk.activities(collection)
        for name in sorted({*self._parts.kv, *there.kv} - {COPY_STATE}):
            walk.items(name)


def _named(backend: Backend) -> str:
    return f"the namespace {shown(backend.namespace)} of {backend.session.store.label}"


def _add_whole(target: Any, key: str, page: Page[IndexEntry], batch: Any) -> None:
    """Add the entries of a timeline that one page holds, and its floor."""
    floor = page.floor
    if floor is None:
        target.add_many(key, page.items, batch_interface=batch)
        return
    kept = [entry for entry in page.items if entry.serialization_id >= floor]
    target.add_many(key, [*kept, IndexEntry(floor - 1, b"")], batch_interface=batch)
    target.trim(key, len(kept), batch_interface=batch)
    late = [entry for entry in page.items if entry.serialization_id < floor]
    if late:
        target.add_many(key, late, batch_interface=batch)
