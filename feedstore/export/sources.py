"""The activities that an export writes: those of a collection, of a timeline, or of a person."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import InvalidValueError
from feedstore.feeds import UserId
from feedstore.feeds.key_format import user_text
from feedstore.ids import id_to_text
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Backend
from feedstore.storage.backend import checked_backend
from feedstore.storage.bounds import OLDEST_FIRST
from feedstore.storage.checks import DEFAULT_NAME, check_key, checked_iterable

ROWS_AT_ONCE = 1000
"""The number of activities that a source reads before an export writes them."""
ROLES = ("actor", "object", "target")
"""The fields of an activity that may name a person."""
_END = "end"
SourceChunk = tuple[list[Activity], str]
"""Activities, and the position after them."""


class ActivitySource(ABC):
    """Activities in chunks, in an order in which a later run can continue."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """The arguments that a run which resumes another one must share with it."""

    @abstractmethod
    def chunks(self, after: str | None = None) -> Iterator[SourceChunk]:
        """Yield chunks, the first of which begins after a position that an earlier run reached."""


class CollectionSource(ActivitySource):
    """All activities of a collection, the oldest first.

    Args:
        backend: The backend.
        name: The collection, by default that of ``backend.activity_storage()``.
        storage: A storage of the collection, if it has another serializer than the default one.
    """

    def __init__(
        self, backend: Backend, name: str = DEFAULT_NAME, *, storage: ActivityStorage[Any] | None = None
    ) -> None:
        self.name = name
        self._namespace = checked_backend(backend).namespace
        self._activities = backend.activity_storage(name=name) if storage is None else storage

    @property
    def identity(self) -> dict[str, Any]:
        """The namespace and the collection."""
        return {"namespace": self._namespace, "collection": self.name}

    def chunks(self, after: str | None = None) -> Iterator[SourceChunk]:
        """Yield chunks of 1,000 activities."""
        found = self._activities.iterate(after)
        while some := list(islice(found, ROWS_AT_ONCE)):
            yield some, id_to_text(some[-1].serialization_id)


class TimelineSource(ActivitySource):
    """The activities of a timeline, the oldest entry first, without activities that were removed.

    Args:
        backend: The backend.
        key: The key of the timeline.
        name: The collection of the timeline and of its activities.
    """

    def __init__(self, backend: Backend, key: str, name: str = DEFAULT_NAME) -> None:
        self.key = check_key(key)
        self._namespace = checked_backend(backend).namespace
        self._name = name
        self._timelines = backend.timeline_storage(name=name)
        self._activities = backend.activity_storage(name=name)

    @property
    def identity(self) -> dict[str, Any]:
        """The namespace, the collection and the timeline."""
        return {"namespace": self._namespace, "collection": self._name, "timeline": self.key}

    def chunks(self, after: str | None = None) -> Iterator[SourceChunk]:
        """Yield chunks of up to 1,000 activities."""
        cursor = after
        while cursor != _END:
            page = self._timelines.get_page(self.key, ROWS_AT_ONCE, cursor, OLDEST_FIRST, hydrate_from=self._activities)
            cursor = _END if page.next_cursor is None else page.next_cursor
            yield page.items, cursor


class PersonSource(CollectionSource):
    """The activities of a collection that name a person. It reads the whole collection.

    Args:
        backend: The backend.
        person: The name of the person.
        roles: The fields that may name the person: ``"actor"``, ``"object"`` and ``"target"``.
        name: The collection.
        storage: A storage of the collection, if it has another serializer than the default one.
    """

    def __init__(
        self,
        backend: Backend,
        person: UserId,
        roles: Iterable[str] = ROLES,
        name: str = DEFAULT_NAME,
        *,
        storage: ActivityStorage[Any] | None = None,
    ) -> None:
        super().__init__(backend, name, storage=storage)
        self.person = user_text(person)
        self.roles = checked_roles(roles)

    @property
    def identity(self) -> dict[str, Any]:
        """The namespace, the collection, the person and the roles."""
        return {**super().identity, "person": self.person, "roles": list(self.roles)}

    def chunks(self, after: str | None = None) -> Iterator[SourceChunk]:
        """Yield the activities of the person among each 1,000 of the collection."""
        for some, position in super().chunks(after):
            yield [one for one in some if roles_of(self.person, one, self.roles)], position


def checked_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """Return roles in their order, each once, or raise :class:`InvalidValueError` for another one or none."""
    given = list(checked_iterable(roles))
    unknown = [one for one in given if one not in ROLES]
    if unknown or not given:
        raise InvalidValueError(f"roles is {shown(given)}; pass at least one of {', '.join(ROLES)}")
    return tuple(one for one in ROLES if one in given)


def roles_of(person: str, activity: Activity, roles: Collection[str] = ROLES) -> tuple[str, ...]:
    """Return those fields of an activity that name a person. An int and the str of its digits are the same person."""
    fields = (activity.actor, activity.object, activity.target)
    if person not in fields and person not in map(str, fields):
        return ()
    named = zip(ROLES, fields, strict=True)
    # A person may have the name "None".
    return tuple(role for role, name in named if role in roles and name is not None and str(name) == person)
