"""Where the listeners of connections are kept."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from feedstore.channels.class_registry import ClassRegistry
from feedstore.channels.interfaces import ListenerRepositoryInterface
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.registered import listener_classes
from feedstore.channels.rows import Rows
from feedstore.channels.unit_of_work import KeyValueStorage, UnitOfWork


class ListenerRepository(ListenerRepositoryInterface):
    """Listeners as the name of their class and their configuration, in any key-value storage.

    ``classes`` says which classes there are: :func:`listener_classes` unless it is given. A loaded listener is a new
    object, and is not started. ``name`` sets these rows apart from others in the same storage.
    """

    def __init__(
        self,
        storage: KeyValueStorage,
        classes: ClassRegistry[MessageQueueListener] | None = None,
        *,
        name: str = "listeners",
    ) -> None:
        self._rows = Rows(storage, name)
        self._classes = listener_classes() if classes is None else classes

    def load(self, connection_id: str) -> MessageQueueListener:
        """One round trip. Raises :class:`StoredDataError` for a class that is not registered."""
        return self._classes.make(self._rows.get(connection_id))

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, MessageQueueListener]:
        """A bounded number of round trips, as ``KvStorage.fetch_many`` makes."""
        return {one: self._classes.make(value) for one, value in self._rows.get_many(connection_ids).items()}

    def persist(self, connection_id: str, listener: MessageQueueListener) -> None:
        """One round trip. Raises :class:`InvalidTypeError` for a class that is not registered."""
        self._rows.put(self._classes.describe(listener), connection_id)

    def delete(self, connection_id: str) -> None:
        """One round trip."""
        self._rows.drop(connection_id)

    def joining(self, unit: UnitOfWork) -> ListenerRepository:
        """Writes cost nothing until the unit ends."""
        joined = copy(self)
        joined._rows = self._rows.joining(unit)
        return joined
