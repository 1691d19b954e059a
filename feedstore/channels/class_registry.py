"""Which classes of listeners and queues a repository knows, and how each is made again from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from feedstore.errors import InvalidTypeError, InvalidValueError, StoredDataError
from feedstore.shown import shown

_Thing = TypeVar("_Thing")
Configuration = dict[str, Any]


class _Entry(NamedTuple):
    name: str
    configuration: Callable[[Any], Configuration]
    make: Callable[..., Any]


class ClassRegistry(Generic[_Thing]):
    """Classes by name. What is stored of an object is the name of its class and its configuration, never the object.

    ``what`` is what they are called in messages. Only classes that were registered are stored, and only those are ever
    made again: a row in a store can name no other.

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

    def __init__(self, what: str) -> None:
        self._what = what
        self._by_class: dict[type[Any], _Entry] = {}
        self._by_name: dict[str, _Entry] = {}

    def register(
        self,
        kind: type[Any],
        configuration: Callable[[Any], Configuration],
        make: Callable[..., _Thing] | None = None,
        name: str | None = None,
    ) -> None:
        """Know a class from now on.

        ``configuration`` returns the keyword arguments that make an object like the given one, all of them plain
        values; ``make`` takes them, and is the class itself unless it is given; ``name``, by default the class's own,
        is what is stored, so it must not change later. A class or name that is known already is an
        :class:`InvalidValueError`. Subclasses are not known with their class.
        """
        if not isinstance(kind, type):
            raise InvalidTypeError(f"what is registered is a class, not {shown(kind)}")
        entry = _Entry(kind.__name__ if name is None else name, configuration, kind if make is None else make)
        if kind in self._by_class or entry.name in self._by_name:
            raise InvalidValueError(
                f"a {self._what} class {shown(entry.name)} is registered already; pass another name= for {shown(kind)}"
            )
        self._by_class[kind] = self._by_name[entry.name] = entry

    def describe(self, thing: _Thing) -> Configuration:
        """Return the plain value to store. Raises :class:`InvalidTypeError` for a class that was not registered."""
        entry = self._by_class.get(type(thing))
        if entry is None:
            raise InvalidTypeError(
                f"the {self._what} {shown(thing)} is of the class {type(thing).__qualname__}, which is not registered; "
                f"known are {sorted(self._by_name)}: pass the repository a ClassRegistry that knows it"
            )
        return {"class": entry.name, "configuration": entry.configuration(thing)}

    def make(self, value: Any) -> _Thing:
        """Return the object that a stored value describes.

        Raises :class:`StoredDataError` for a class that was not registered, and for what :meth:`describe` did not make.
        """
        name, configuration = _parts(value)
        if not isinstance(name, str) or not isinstance(configuration, dict):
            raise StoredDataError(f"a row holds {shown(value)}, which is no {self._what}'s configuration")
        entry = self._by_name.get(name)
        if entry is None:
            raise StoredDataError(
                f"a row names the {self._what} class {shown(name)}; known are {sorted(self._by_name)}: pass "
                f"the repository a ClassRegistry that knows it"
            )
        thing: _Thing = entry.make(**configuration)
        return thing


def _parts(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, dict) or value.keys() != {"class", "configuration"}:
        return None, None
    return value["class"], value["configuration"]
