"""Where the queues of connections are kept."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from feedstore.channels.class_registry import ClassRegistry
from feedstore.channels.interfaces import QueueRepositoryInterface
from feedstore.channels.queue import Queue
from feedstore.channels.registered import queue_classes
from feedstore.channels.rows import Rows
from feedstore.channels.unit_of_work import KeyValueStorage, UnitOfWork
from feedstore.errors import ItemNotFound
from feedstore.storage import KvStorage


class QueueRepository(QueueRepositoryInterface):
    """Queues as the name of their class and their configuration, in any key-value storage. No message is kept here.

    ``classes`` says which classes there are: unless it is given, queues in memory, and with a storage of ours durable
    ones on its backend; see :func:`queue_classes`. ``name`` sets these rows apart from others in the same storage.
    """

    def __init__(
        self, storage: KeyValueStorage, classes: ClassRegistry[Queue] | None = None, *, name: str = "queues"
    ) -> None:
        self._rows = Rows(storage, name)
        backend = storage.backend if isinstance(storage, KvStorage) else None
        self._classes = queue_classes(backend) if classes is None else classes

    def load(self, connection_id: str) -> Queue:
        """One round trip. Raises :class:`StoredDataError` for a class that is not registered."""
        return self._classes.make(self._rows.get(connection_id))

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, Queue]:
        """A bounded number of round trips, as ``KvStorage.fetch_many`` makes."""
        return {one: self._classes.make(value) for one, value in self._rows.get_many(connection_ids).items()}

    def persist(self, connection_id: str, queue: Queue) -> None:
        """One round trip. Raises :class:`InvalidTypeError` for a class that is not registered."""
        self._rows.put(self._classes.describe(queue), connection_id)

    def delete(self, connection_id: str) -> None:
        """The queue discards its messages, and then its row goes: whoever is interrupted can delete again."""
        try:
            queue = self.load(connection_id)
        except ItemNotFound:
            return
        queue.discard()
        self._rows.drop(connection_id)

    def joining(self, unit: UnitOfWork) -> QueueRepository:
        """Writes cost nothing until the unit ends. A queue discards its messages at once."""
        joined = copy(self)
        joined._rows = self._rows.joining(unit)
        return joined
