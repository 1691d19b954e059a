"""Read-only containers: a dict and a list that refuse every change, for the context of a frozen activity."""

from __future__ import annotations

from typing import Any, NoReturn

from feedstore.errors import InvalidTypeError


def _refuse(self: object, *arguments: Any, **options: Any) -> NoReturn:
    raise InvalidTypeError(
        "the extra_context of an activity is read-only: change a copy.deepcopy() of it, and make a new activity with it"
    )


class ReadOnlyDict(dict[Any, Any]):
    """A dict that cannot be changed. It is equal to a dict of the same items; its copies are ordinary dicts."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def copy(self) -> dict[Any, Any]:
        """Return a dict of the same items, whose containers are still read-only."""
        return dict(self)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        return {key: thawed(item) for key, item in self.items()}

    def __reduce__(self) -> tuple[type[dict[Any, Any]], tuple[dict[Any, Any]]]:
        return dict, (self.__deepcopy__({}),)


class ReadOnlyList(list[Any]):
    """A list that cannot be changed. It is equal to a list of the same items; its copies are ordinary lists."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def copy(self) -> list[Any]:
        """Return a list of the same items, whose containers are still read-only."""
        return list(self)

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [thawed(item) for item in self]

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (self.__deepcopy__({}),)


def frozen(value: Any) -> Any:
    """Return ``value`` with read-only copies of its dicts and lists, at every depth."""
    kind = value.__class__
    if kind is dict:
        return ReadOnlyDict({key: frozen(item) for key, item in value.items()}) if value else _EMPTY
    if kind is list:
        return ReadOnlyList([frozen(item) for item in value])
    return value


def thawed(value: Any) -> Any:
    """Return ``value`` with ordinary copies of its read-only dicts and lists, at every depth."""
    kind = value.__class__
    if kind is ReadOnlyDict:
        return {key: thawed(item) for key, item in value.items()}
    if kind is ReadOnlyList:
        return [thawed(item) for item in value]
    return value


_EMPTY = ReadOnlyDict()
