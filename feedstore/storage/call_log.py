"""A log of calls: one DEBUG line for each public call of a storage, on the logger ``feedstore.calls``.

A storage is logged if the logger was enabled when the backend made the storage. Any other storage has its plain class,
so the disabled log costs nothing.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator, Sized
from typing import Any, TypeVar

from feedstore.shown import shown

logger = logging.getLogger("feedstore.calls")
# Methods that only call another logged method are absent, such as ``add``.
LOGGED = (
    *("add_many", "get_many", "remove_many", "iterate", "flush", "add_to_many", "remove_from_many", "trim", "delete"),
    *("add_bodies", "add_to_each", "get_slice", "get_page", "get_many_slices", "get_many_pages", "get_merged_page"),
    *("get_columns", "get_bodies", "index_of", "contains", "contains_many", "count", "keys"),
    *("upsert", "get", "exists", "fetch_one", "fetch_many", "fetch_by_prefix", "fetch_all", "items"),
    *("insert", "replace", "require", "require_absent", "delete_by_prefix"),
    *("push_many", "receive_many", "ack"),
    *(
        "put_items",
        "remove_items",
        "purge",
        "page",
        "newest",
        "get_items",
        "search",
        "walk",
        "claim_sync",
        "finish_sync",
    ),
)
_LONGEST_KEY = 80
_StorageType = TypeVar("_StorageType")


def logged_class(kind: type[_StorageType]) -> type[_StorageType]:
    """Return ``kind``, or a subclass of it that logs its calls while the logger takes DEBUG lines."""
    if not logger.isEnabledFor(logging.DEBUG):
        return kind
    methods = {name: _logged(getattr(kind, name)) for name in LOGGED if _does_the_work(kind, name)}
    return type(kind.__name__, (kind,), {"__module__": kind.__module__, "__qualname__": kind.__qualname__, **methods})


def _does_the_work(kind: type, name: str) -> bool:
    """Return whether a class has the method, and the method calls no other logged method."""
    return hasattr(kind, name) and not (name == "get" and hasattr(kind, "get_many"))


def _logged(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            result = method(self, *arguments, **options)
        except Exception as error:
            _write(self, method.__name__, arguments, type(error).__name__, started)
            raise
        if isinstance(result, Iterator):
            return _counted(self, method.__name__, arguments, result, started)
        _write(self, method.__name__, arguments, _count_of(result), started)
        return result

    return call


def _counted(
    storage: object, name: str, arguments: tuple[Any, ...], found: Iterator[Any], started: float
) -> Iterator[Any]:
    count = 0
    try:
        for item in found:
            count += 1
            yield item
    finally:
        _write(storage, name, arguments, count, started)


def _count_of(result: object) -> object:
    if isinstance(result, Sized) and not isinstance(result, (str, bytes)):
        return len(result)
    return result if result is None or isinstance(result, int) else 1


def _write(storage: object, name: str, arguments: tuple[Any, ...], count: object, started: float) -> None:
    milliseconds = (time.perf_counter() - started) * 1000
    first = arguments[0] if arguments else ""
    key = shown(first, _LONGEST_KEY) if isinstance(first, str) else _number_of(first)
    logger.debug("%s.%s key=%s count=%s %.3f ms", type(storage).__name__, name, key, count, milliseconds)


def _number_of(items: object) -> str:
    return f"<{len(items)} items>" if isinstance(items, Sized) else f"<{type(items).__name__}>"
