"""Reading the bodies and the places of events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from feedstore.events.layout import (
    COLLECTION,
    PLACES,
    EntrySerializer,
    EventSerializer,
    PlaceSerializer,
    StoredEvent,
    place_id_of,
    place_ids_of,
)
from feedstore.storage import AtomicScope, Backend, Bounds

Body = tuple[int, bytes]
"""An entry and the bytes of its body, which belong to one event."""


class EventReader:
    """The storages of an event store, and the reads that return stored events alone.

    On backends whose atomic batches have preconditions, an entry with a body belongs to an event. Elsewhere a process
    that died, or a save that runs, leaves entries and bodies; there each read compares them with the places, which
    costs one round trip.
    """

    def __init__(self, backend: Backend) -> None:
        abilities = backend.abilities
        self.backend = backend
        self.bodies = backend.activity_storage(EventSerializer, name=COLLECTION)
        self.places = backend.activity_storage(PlaceSerializer, name=PLACES)
        self.index = backend.timeline_storage(EntrySerializer, name=COLLECTION)
        self.times = backend.timeline_storage(name=COLLECTION)
        self.is_atomic = abilities.atomic_scope == AtomicScope.BACKEND
        self.is_conditional = self.is_atomic and abilities.conditional_batches
        self.can_require_new = self.is_conditional and self.places.can_require_new
        self.reads_bodies_alone = self.is_conditional and self.bodies.is_ordered

    def read_slice(
        self, key: str | None, count: int, bounds: Bounds, descending: bool
    ) -> Sequence[tuple[int, bytes | None]]:
        """Return the first entries of a timeline within bounds, each with its body, None if there is none.

        Without a key it returns all bodies within the bounds, from a store that keeps them in order. There an entry of
        all events has a body and a body has such an entry, and reading the bodies alone takes half of the time.

        One round trip, and two where a store cannot hydrate in one.
        """
        if key is None:
            return self.bodies.get_bodies(count, bounds, descending)
        return self.times.get_bodies(key, count, bounds, descending, self.bodies)

    def load(self, bodies: Iterable[Body]) -> list[StoredEvent]:
        """Return the stored events of bodies, without those that the places contradict."""
        return self._placed(self.bodies.serializer.loads_many(bodies))

    def get(self, own_id: str) -> StoredEvent | None:
        """Return the event of an id, or None. Two round trips, and two more if it is moved between them."""
        last: int | None = None
        while True:
            place = self.places.get(place_id_of(own_id))
            # A body that is absent although its place stays is that of a process that died.
            if place is None or place.entry == last:
                return None
            last = place.entry
            stored = self.bodies.get(last)
            if stored is not None and stored.event.id == own_id:
                return stored

    def get_many(self, entries: Sequence[int]) -> list[StoredEvent]:
        """Return the stored events of entries. One round trip, and another one to compare the places."""
        return self._placed(self.bodies.get_many(entries))

    def entries_at(self, place_ids: Iterable[int]) -> dict[int, int]:
        """Return the entries of places by their ids. One round trip."""
        return {place.serialization_id: place.entry for place in self.places.get_many(place_ids)}

    def placed(self, stored: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Return those of stored events whose place holds their entry. One round trip."""
        ids = place_ids_of([each.event.id for each in stored])
        entries = self.entries_at(ids) if ids else {}
        return [each for place_id, each in zip(ids, stored, strict=True) if entries.get(place_id) == each.entry]

    def _placed(self, stored: list[StoredEvent]) -> list[StoredEvent]:
        return stored if self.is_conditional else self.placed(stored)
