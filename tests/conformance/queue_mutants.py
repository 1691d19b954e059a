"""Queues and notifiers that are broken in one way each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from conformance.mutants import Broken
from feedstore.backends.memory import InMemoryQueueStorage
from feedstore.storage.queue import Delivery
from feedstore.storage.topic import Topic
from feedstore.storage.topic_source import TopicSource
from feedstore.storage.watcher import Watcher


class NothingIsHidden(InMemoryQueueStorage):
    """Gives a message to whoever comes, until it is acknowledged."""

    def _receive(self, limit: int) -> list[Delivery]:
        self.visibility_timeout = 0.0
        return super()._receive(limit)


class NothingIsGivenAgain(InMemoryQueueStorage):
    """Forgets what was received."""

    def _receive(self, limit: int) -> list[Delivery]:
        self.visibility_timeout = 1e9
        return super()._receive(limit)

    def _seconds_to_next(self) -> float:
        return 1.0


class LastInFirstOut(InMemoryQueueStorage):
    """Is a stack."""

    def _push(self, messages: list[bytes]) -> None:
        super()._push(messages[::-1])


class AnyReceiptWillDo(InMemoryQueueStorage):
    """Takes the message away from whoever has received it since."""

    def _ack(self, receipt: str) -> bool:
        number = receipt.partition("-")[0]
        with self.backend.lock:
            messages = self._messages()
            last = messages.deliveries.get(int(number)) if number.isdecimal() and number.isascii() else None
        return super()._ack(receipt if last is None else f"{number}-{last}")


class AnAckAlwaysCounts(InMemoryQueueStorage):
    """Reports success and may have done nothing."""

    def _ack(self, receipt: str) -> bool:
        super()._ack(receipt)
        return True


class HasNoBound(InMemoryQueueStorage):
    """Ignores how many messages there may be."""

    def _push(self, messages: list[bytes]) -> None:
        self.max_length = 10**9
        super()._push(messages)


class FillsUpBeforeItRefuses(InMemoryQueueStorage):
    """Keeps what came before the message that did not fit."""

    def _push(self, messages: list[bytes]) -> None:
        for message in messages:
            super()._push([message])


class WakesNobody(InMemoryQueueStorage):
    """Pushes without telling those who wait."""

    @property
    def topic(self) -> Topic:
        return super().topic._replace(key="nobody")


class NamesIgnoreCase(InMemoryQueueStorage):
    """Takes two names for one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "name": options["name"].lower() if options.get("name") else options["name"]})


class NumbersBeginAnew(InMemoryQueueStorage):
    """Gives the numbers of an emptied queue to other messages."""

    def _flush(self) -> None:
        super()._flush()
        self.backend.space.numbers = type(self.backend.space.numbers)(1)


class AnnouncesNothing(Broken):
    """Keeps every change to itself."""

    def announce_topics(self, topics: Sequence[Topic]) -> None:
        self.check_open()


class AnnouncesTheFirst(Broken):
    """Tells of one change of many."""

    def announce_topics(self, topics: Sequence[Topic]) -> None:
        super().announce_topics(topics[:1])


class AnnouncesToAllNamespaces(Broken):
    """Takes a key for the same in every namespace."""

    def announce_topics(self, topics: Sequence[Topic]) -> None:
        watcher = self._watchers.get(os.getpid())
        watched = None if watcher is None else watcher.watched
        spaces = watched.namespaces() if watched is not None else set[str]()
        super().announce_topics([topic._replace(namespace=space) for topic in topics for space in spaces])


class _Deaf(Watcher):
    def _tell(self, found: Any) -> None:
        """Die of the first callback that fails."""
        for watch, keys in self.watched.who_watches(self._local).items():
            watch._callback(frozenset(keys))
        self._local.clear()
        for watch in self._due():
            watch._callback(frozenset(watch.keys()))


class DiesOfAFailure(Broken):
    """Lets a callback's failure end the watcher's thread."""

    def watcher(self) -> Watcher:
        self.check_open()
        return self._watchers.setdefault(os.getpid(), _Deaf(self.make_source))


class _Forgetful(TopicSource):
    def __init__(self, source: TopicSource) -> None:
        self._source = source

    def wait(self, watched: Any, seconds: float) -> Any:
        """Wait for longer than anybody asked for."""
        return self._source.wait(watched, 3600.0)

    def wake(self) -> None:
        """End the wait."""
        self._source.wake()

    def close(self) -> None:
        """Nothing was opened."""


class NeverRechecks(Broken):
    """Waits for an announcement alone."""

    def make_source(self) -> TopicSource:
        return _Forgetful(super().make_source())


QUEUES: tuple[type[InMemoryQueueStorage], ...] = tuple(InMemoryQueueStorage.__subclasses__())
NOTIFIERS: tuple[type[Broken], ...] = tuple(kind for kind in Broken.__subclasses__() if kind.__module__ == __name__)
