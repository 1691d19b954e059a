"""Registries of the listener and queue classes that a repository stores by their configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from feedstore.channels.durable_queue import DurableQueue
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.queue import InMemoryQueue, Queue
from feedstore.errors import InvalidTypeError, InvalidValueError, StoredDataError
from feedstore.shown import shown
from feedstore.storage.backend import Backend

_Thing = TypeVar("_Thing")
Configuration = dict[str, Any]


class _Entry(NamedTuple):
    name: str
    configuration: Callable[[Any], Configuration]
    make: Callable[..., Any]


class ClassRegistry(Generic[_Thing]):
    """Classes by name. A repository stores the name of an object's class and its configuration, never the object.

    ``kind`` names the objects in errors. A repository stores and makes objects of registered classes only, so a stored
    row cannot name any other class.

    >>> from feedstore.channels import MessageQueueListener
    >>> class Mailer(MessageQueueListener):
    ...     pass
    >>> listeners = ClassRegistry("listener")
    >>> listeners.register(Mailer, lambda mailer: {"listener_id": mailer.id})
    >>> listeners.describe(Mailer("ann"))
    {'class': 'Mailer', 'configuration': {'listener_id': 'ann'}}
    >>> listeners.make({"class": "Mailer", "configuration": {"listener_id": "ann"}}).id
    'ann'
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._by_class: dict[type[Any], _Entry] = {}
        self._by_name: dict[str, _Entry] = {}

    def register(
        self,
        cls: type[Any],
        configuration: Callable[[Any], Configuration],
        make: Callable[..., _Thing] | None = None,
        name: str | None = None,
    ) -> None:
        """Register a class. Its subclasses are not registered with it.

        Args:
            cls: The class.
            configuration: Returns the keyword arguments, all plain values, that make an object equal to the given one.
            make: Takes these arguments and returns an object; by default the class itself.
            name: The stored name, which must not change later; by default the name of the class.

        Raises:
            InvalidValueError: The class or the name is registered already.
        """
        if not isinstance(cls, type):
            raise InvalidTypeError(f"cls must be a class, not {shown(cls)}")
        entry = _Entry(cls.__name__ if name is None else name, configuration, cls if make is None else make)
        if cls in self._by_class or entry.name in self._by_name:
            raise InvalidValueError(
                f"a {self._kind} class {shown(entry.name)} is registered already; pass another name= for {shown(cls)}"
            )
        self._by_class[cls] = self._by_name[entry.name] = entry

    def describe(self, thing: _Thing) -> Configuration:
        """Return the plain value to store. Raises :class:`InvalidTypeError` for a class that is not registered."""
        entry = self._by_class.get(type(thing))
        if entry is None:
            raise InvalidTypeError(
                f"the {self._kind} {shown(thing)} is of the class {type(thing).__qualname__}, which is not registered; "
                f"registered are {sorted(self._by_name)}: pass the repository a ClassRegistry with this class"
            )
        return {"class": entry.name, "configuration": entry.configuration(thing)}

    def make(self, value: Any) -> _Thing:
        """Return the object that a stored value describes.

        Raises:
            StoredDataError: The class is not registered, or :meth:`describe` did not return this value.
        """
        name, configuration = _parts(value)
        if not isinstance(name, str) or not isinstance(configuration, dict):
            raise StoredDataError(f"a row holds {shown(value)}, which is not the configuration of a {self._kind}")
        entry = self._by_name.get(name)
        if entry is None:
            raise StoredDataError(
                f"a row names the {self._kind} class {shown(name)}; registered are "
                f"{sorted(self._by_name)}: pass the repository a ClassRegistry with this class"
            )
        thing: _Thing = entry.make(**configuration)
        return thing


def listener_classes() -> ClassRegistry[MessageQueueListener]:
    """Return a new registry with :class:`MessageQueueListener`; register your own classes with it."""
    classes: ClassRegistry[MessageQueueListener] = ClassRegistry("listener")
    classes.register(MessageQueueListener, lambda listener: {"listener_id": listener.id})
    return classes


def queue_classes(backend: Backend | None = None) -> ClassRegistry[Queue]:
    """Return a new registry with :class:`InMemoryQueue`, and with :class:`DurableQueue` if a backend is given.

    A loaded queue in memory is empty, with the options of the stored one.
    """
    classes: ClassRegistry[Queue] = ClassRegistry("queue")
    classes.register(InMemoryQueue, lambda queue: {"max_length": queue.max_length, "when_full": queue.when_full})
    if backend is not None:

        def durable(**configuration: Any) -> DurableQueue:
            return DurableQueue(backend.queue(**configuration))

        classes.register(DurableQueue, DurableQueue.configuration, durable)
    return classes


def _parts(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, dict) or value.keys() != {"class", "configuration"}:
        return None, None
    return value["class"], value["configuration"]
