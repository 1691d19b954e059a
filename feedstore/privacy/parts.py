"""The parts of a person's data: the activities, and the entries of timelines that refer to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import StoredDataError
from feedstore.events.layout import EntrySerializer, IndexEntry
from feedstore.export import activity_row, roles_of
from feedstore.feeds.notification_feed import UNREAD, UNSEEN
from feedstore.ids import id_to_text
from feedstore.privacy.progress import AT_ONCE, ErasureProgress
from feedstore.privacy.scope import Scope
from feedstore.serializers import JsonSerializer, MsgpackSerializer, Serializer
from feedstore.storage import TimelineStorage

_TIMELINES_AT_ONCE = 50
MARKS = (UNSEEN, UNREAD)
_COPIES: tuple[Serializer[Activity], ...] = (MsgpackSerializer(), JsonSerializer())
PersonRecord = dict[str, Any]
"""A piece of a person's data in types of JSON. The item ``record`` names its kind."""


class Part(ABC):
    """A part of a person's data.

    Attributes:
        name: The name of the part in reports.
        scope: The storages.
        person: The name of the person.
        roles: The fields of activities that may name the person.
    """

    name: str

    def __init__(self, scope: Scope, person: str, roles: tuple[str, ...]) -> None:
        self.scope = scope
        self.person = person
        self.roles = roles

    @abstractmethod
    def find(self) -> Iterator[PersonRecord]:
        """Yield the data, in bounded memory."""

    @abstractmethod
    def erase(self, progress: ErasureProgress) -> None:
        """Erase the data, in bounded memory. A repeated call erases the data that a killed one has left."""

    def count_left(self, progress: ErasureProgress) -> int:
        """Return the number of records that an erasure has left."""
        return sum(1 for _ in self.find())


class ActivitiesPart(Part):
    """The activities that name the person."""

    name = "activities"

    def __init__(self, scope: Scope, person: str, roles: tuple[str, ...]) -> None:
        super().__init__(scope, person, roles)
        self.storages = scope.activity_storages()
        self.undecodable: dict[str, int] = {}

    def find(self) -> Iterator[PersonRecord]:
        """Yield the activities. It reads all activities of the namespace."""
        for collection in self.storages:
            for found, _ in self._chunks(collection, None):
                for one in found:
                    names = {"collection": collection, "roles": list(roles_of(self.person, one))}
                    yield {"record": "activity", **names, **activity_row(one)}

    def collect(self, progress: ErasureProgress) -> None:
        """Record the ids of the activities, from the position of an earlier run on."""
        for collection in self.storages:
            for found, last in self._chunks(collection, progress.positions.get(collection)):
                if found:
                    progress.add(collection, [one.serialization_id for one in found])
                    progress.count(self.name, len(found))
                progress.positions[collection] = last
                progress.save()

    def erase(self, progress: ErasureProgress) -> None:
        """Remove the activities whose ids were recorded, and the managers' records of them."""
        for collection, storage in self.storages.items():
            for some in progress.ids(collection):
                activities = storage.get_many(some)
                for publications in self.scope.publications:
                    publications.forget_activities(activities)
                storage.remove_many(some)

    def _chunks(self, collection: str, after: str | None) -> Iterator[tuple[list[Activity], str]]:
        """Yield the activities that name the person among each 1,000, and the id of the last of these."""
        serializer = self.storages[collection].serializer
        self.undecodable[collection] = 0
        stored = self.scope.backend.activity_storage(EntrySerializer, name=collection).iterate(after)
        while some := list(islice(stored, AT_ONCE)):
            found = [one for one in self._decoded(some, serializer, collection) if isinstance(one, Activity)]
            named = [one for one in found if roles_of(self.person, one, self.roles)]
            yield named, id_to_text(some[-1].serialization_id)

    def _decoded(self, some: list[IndexEntry], serializer: Serializer[Any], collection: str) -> Iterable[Any]:
        try:
            return serializer.loads_many([(one.serialization_id, one.payload) for one in some])
        except StoredDataError:
            return self._decodable(some, serializer, collection)

    def _decodable(self, some: list[IndexEntry], serializer: Serializer[Any], collection: str) -> Iterator[Any]:
        for one in some:
            try:
                yield serializer.loads(one.payload, one.serialization_id)
            except StoredDataError:
                self.undecodable[collection] += 1


class TimelinesPart(Part):
    """The timelines of the person, and the entries and marks of the person's activities in all other timelines."""

    name = "timelines"

    def find(self) -> Iterator[PersonRecord]:
        """Yield the entries of the person's own timelines, and the marks of the person's notifications."""
        for (collection, key), is_mark in self.scope.own_timelines(self.person).items():
            for page in _pages(self._storage(collection), key):
                for one in page:
                    names = {"collection": collection, "timeline": key}
                    yield {"record": "mark" if is_mark else "entry", **names, "id": id_to_text(one.serialization_id)}

    def erase(self, progress: ErasureProgress) -> None:
        """Delete the person's own timelines, and remove the erased activities from all others."""
        for (collection, key), is_mark in self.scope.own_timelines(self.person).items():
            storage = self._storage(collection)
            count = storage.count(key)
            storage.delete(key)
            progress.count("marks" if is_mark else "own entries", count)
            progress.save()
        for collection in self.scope.timeline_names():
            storage = self._storage(collection)
            for number, (key, ids) in enumerate(self._entries(collection, progress), 1):
                storage.remove_many(key, ids)
                progress.count("marks" if key.endswith(MARKS) else "entries", len(ids))
                if number % _TIMELINES_AT_ONCE == 0:
                    progress.save()
            progress.save()

    def count_left(self, progress: ErasureProgress) -> int:
        """Return the number of entries that are left, in the person's own timelines and in all others."""
        others = (ids for name in self.scope.timeline_names() for _, ids in self._entries(name, progress))
        return super().count_left(progress) + sum(map(len, others))

    def _storage(self, collection: str) -> TimelineStorage[IndexEntry]:
        backend = self.scope.backend
        return backend.timeline_storage(EntrySerializer, name=collection, notifier=backend.notifier(collection))

    def _entries(self, collection: str, progress: ErasureProgress) -> Iterator[tuple[str, list[int]]]:
        """Yield the keys of timelines, and the ids of their entries that belong to erased activities."""
        storage, activities = self._storage(collection), self.scope.activities_of(collection)
        keys = storage.keys()
        while some := list(islice(keys, _TIMELINES_AT_ONCE)):
            for key, newest in storage.get_many_slices(some, 0, AT_ONCE).items():
                for page in [newest] if len(newest) < AT_ONCE else _pages(storage, key):
                    ids = progress.erased_among(activities, [one.serialization_id for one in page])
                    ids |= {one.serialization_id for one in page if one.payload and self._is_copy(one)}
                    if ids:
                        yield key, sorted(ids)

    def _is_copy(self, entry: IndexEntry) -> bool:
        """Return whether an entry holds a copy of an activity that names the person."""
        for serializer in _COPIES:
            try:
                return bool(roles_of(self.person, serializer.loads(entry.payload, entry.serialization_id), self.roles))
            except StoredDataError:
                continue
        return False


def _pages(storage: TimelineStorage[IndexEntry], key: str) -> Iterator[list[IndexEntry]]:
    cursor: str | None = None
    while True:
        page = storage.get_page(key, AT_ONCE, cursor)
        if page.items:
            yield page.items
        cursor = page.next_cursor
        if cursor is None:
            return
