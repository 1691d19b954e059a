"""Polling a store that cannot push, for changes of the topics that have subscribers."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

from feedstore.errors import BackendClosedError, SchemaError, StorageTimeoutError, StorageUnavailableError
from feedstore.storage.notify.registry import Kind, Topic, TopicRegistry
from feedstore.storage.notify.source import TopicSource

_logger = logging.getLogger("feedstore.notify")
POLL_SECONDS = 1.0
# Errors of the whole store, and not of one of its timelines.
_COMMON_ERRORS = (BackendClosedError, SchemaError, StorageTimeoutError, StorageUnavailableError)
_KEYS_PER_READ = 500
# After a poll that took one second the next poll starts in three: polling uses a quarter of a core at most.
_REST = 3.0

FetchStates = Callable[[str, Kind, list[str]], Mapping[str, Any]]
"""``fetch(namespace, kind, keys)``: a state for each key, which changes with each add. A key may be left out."""


class PollingSource(TopicSource):
    """Compares the newest entry of each timeline and the newest message of each queue with the last poll's, once a
    second.

    Costs one read for each 500 keys and second, and nothing while nothing has subscribers. A poll does not find an
    entry that was added or removed below the newest one; such a change is delivered only in the process that publishes
    it. A topic counts as changed at its first poll, because it may have changed before that.
    """

    def __init__(self, fetch_states: FetchStates, seconds: float = POLL_SECONDS) -> None:
        self._fetch_states = fetch_states
        self._seconds = seconds
        self._woken = threading.Event()
        self._next_poll = 0.0
        self._known: dict[bytes, Any] = {}
        self._unreadable: dict[str, None] = {}

    def wait(self, registry: TopicRegistry[Any], seconds: float) -> Collection[bytes] | None:
        """Sleep until the next poll is due, and poll."""
        left = max(0.0, self._next_poll - time.monotonic())
        if self._woken.wait(min(seconds, left) if registry else seconds):
            self._woken.clear()
        start = time.monotonic()
        if start < self._next_poll:
            return ()
        found = self.poll(registry)
        end = time.monotonic()
        self._next_poll = end + max(self._seconds, _REST * (end - start))
        return found

    def wake(self) -> None:
        """End the sleep."""
        self._woken.set()

    def close(self) -> None:
        """Do nothing: the source has no connection."""

    def poll(self, registry: TopicRegistry[Any]) -> list[bytes]:
        """Return the digests of the topics that have changed since the last poll, or are new."""
        before, self._known = self._known, self._found(registry.topics())
        return [digest for digest, state in self._known.items() if digest not in before or before[digest] != state]

    def _found(self, topics: list[tuple[bytes, Topic]]) -> dict[bytes, Any]:
        groups: defaultdict[tuple[str, Kind], list[tuple[bytes, str]]] = defaultdict(list)
        for digest, topic in topics:
            groups[topic.namespace, topic.kind].append((digest, topic.key))
        found: dict[bytes, Any] = {}
        for (namespace, kind), group in groups.items():
            for first in range(0, len(group), _KEYS_PER_READ):
                part = group[first : first + _KEYS_PER_READ]
                states = self._states(namespace, kind, [key for _, key in part])
                found.update((digest, states.get(key)) for digest, key in part)
        return found

    def _states(self, namespace: str, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """Return the states of keys; the state of a timeline or queue that cannot be read is the error's text.

        A damaged timeline must not hide the changes of the others: the keys are halved until it is alone, which costs
        O(log keys) reads for each damaged one.
        """
        try:
            return self._fetch_states(namespace, kind, keys)
        except _COMMON_ERRORS:
            raise
        # Damaged data may raise anything.
        except Exception as error:  # noqa: BLE001
            if len(keys) > 1:
                middle = len(keys) // 2
                return {
                    **self._states(namespace, kind, keys[:middle]),
                    **self._states(namespace, kind, keys[middle:]),
                }
            state = f"{type(error).__name__}: {error}"
            if keys[0] not in self._unreadable:
                _logger.error("changes of the %s %r are not noticed: %s", kind.value, keys[0], state)
            self._unreadable[keys[0]] = None
            return {keys[0]: state}
