"""Watching a store that cannot push: looking at what is watched, again and again."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from feedstore.errors import BackendClosedError, SchemaError, StorageTimeoutError, StorageUnavailableError
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.timeline_queue import newest_messages
from feedstore.storage.topic import Kind, Topic
from feedstore.storage.topic_source import TopicSource
from feedstore.storage.watched import Watched

if TYPE_CHECKING:
    from feedstore.storage.backend import Backend

_logger = logging.getLogger("feedstore.notify")
POLL_SECONDS = 1.0
# What concerns the store and not one of its timelines.
_COMMON_ERRORS = (BackendClosedError, SchemaError, StorageTimeoutError, StorageUnavailableError)
_KEYS_AT_ONCE = 500
# After a look that took a second the next one comes no sooner than in three: polling takes a quarter of a core at most.
_REST = 3.0


class PollingSource(TopicSource):
    """Compares the newest entry of each timeline that is watched, and the newest message of each queue, with what it
    was, once a second.

    Costs one read of many timelines for each 500 keys and second, and nothing while nothing is watched. An entry that
    comes or goes below the newest one is not noticed, only announced. What is watched for the first time may have
    changed before the first look, so it is told once.
    """

    def __init__(self, backend: Backend, seconds: float = POLL_SECONDS) -> None:
        self._backend = backend
        self._seconds = seconds
        self._woken = threading.Event()
        self._next_look = 0.0
        self._known: dict[bytes, Any] = {}
        self._unreadable: dict[str, None] = {}

    def wait(self, watched: Watched[Any], seconds: float) -> Collection[bytes]:
        """Sleep until the next look, and look."""
        left = max(0.0, self._next_look - time.monotonic())
        if self._woken.wait(min(seconds, left) if watched else seconds):
            self._woken.clear()
        start = time.monotonic()
        if start < self._next_look:
            return ()
        found = self.look(watched)
        end = time.monotonic()
        self._next_look = end + max(self._seconds, _REST * (end - start))
        return found

    def wake(self) -> None:
        """End the sleep."""
        self._woken.set()

    def close(self) -> None:
        """Nothing was opened."""

    def look(self, watched: Watched[Any]) -> list[bytes]:
        """Return the digests of what is not as it was, or was not looked at before."""
        before, self._known = self._known, self._found(watched.topics())
        return [digest for digest, state in self._known.items() if digest not in before or before[digest] != state]

    def _found(self, topics: list[tuple[bytes, Topic]]) -> dict[bytes, Any]:
        groups: defaultdict[tuple[str, Kind], list[tuple[bytes, str]]] = defaultdict(list)
        for digest, topic in topics:
            groups[topic.namespace, topic.kind].append((digest, topic.key))
        found: dict[bytes, Any] = {}
        for (namespace, kind), group in groups.items():
            backend = self._backend.with_namespace(namespace)
            for first in range(0, len(group), _KEYS_AT_ONCE):
                part = group[first : first + _KEYS_AT_ONCE]
                states = self._states(backend, kind, [key for _, key in part])
                found.update((digest, states.get(key)) for digest, key in part)
        return found

    def _states(self, backend: Backend, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """Return the states of keys; that of a timeline or queue that cannot be read is the error's text.

        One that is damaged must not hide the changes of the others: the keys are halved until it is alone, O(log keys)
        reads for each that is damaged.
        """
        try:
            return self.states_of(backend, kind, keys)
        except _COMMON_ERRORS:
            raise
        # Damaged data may raise anything.
        except Exception as error:  # noqa: BLE001
            if len(keys) > 1:
                middle = len(keys) // 2
                return {
                    **self._states(backend, kind, keys[:middle]),
                    **self._states(backend, kind, keys[middle:]),
                }
            state = f"{type(error).__name__}: {error}"
            if keys[0] not in self._unreadable:
                _logger.error("changes of the %s %r are not noticed: %s", kind.value, keys[0], state)
            self._unreadable[keys[0]] = None
            return {keys[0]: state}

    def states_of(self, backend: Backend, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """Return ``{key: what changes when it does}``; what holds nothing may be left out."""
        return backend.newest_ids(kind, keys)


def newest_entries(backend: Backend, kind: Kind, keys: list[str]) -> dict[str, int]:
    """Return ``{key: id of the newest entry}`` of timelines, or of the timelines that stand for queues."""
    if kind is Kind.QUEUE:
        return newest_messages(backend, keys)
    slices = backend.timeline_storage()._get_many_slices(keys, 0, 1, EVERYTHING, True)
    return {key: entries[0][0] for key, entries in slices.items() if entries}
