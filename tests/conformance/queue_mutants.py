"""Queues and notifiers that are broken in one way each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from conformance.mutants import Broken
from feedstore.backends.memory import InMemoryQueueStorage
from feedstore.backends.memory.session import MemorySession
from feedstore.storage import Subscription
from feedstore.storage.notify.dispatcher import Dispatcher, Receiver
from feedstore.storage.notify.registry import Topic
from feedstore.storage.notify.source import TopicSource
from feedstore.storage.queue import Delivery


class NothingIsHidden(InMemoryQueueStorage):
    """Gives a message to every consumer until it is acknowledged."""

    def _receive(self, limit: int) -> list[Delivery]:
        self.visibility_timeout = 0.0
        return super()._receive(limit)


class NothingIsGivenAgain(InMemoryQueueStorage):
    """Forgets received messages."""

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
    """Removes the message although another consumer has received it since."""

    def _ack(self, receipt: str) -> bool:
        number = receipt.partition("-")[0]
        with self.session.lock:
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
    """Keeps the messages before the one that did not fit."""

    def _push(self, messages: list[bytes]) -> None:
        for message in messages:
            super()._push([message])


class WakesNobody(InMemoryQueueStorage):
    """Pushes without a notification to the consumers that wait."""

    @property
    def topic(self) -> Topic:
        return super().topic._replace(key="other")


class NamesIgnoreCase(InMemoryQueueStorage):
    """Takes two names for one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "name": options["name"].lower() if options.get("name") else options["name"]})


class NumbersBeginAnew(InMemoryQueueStorage):
    """Gives the numbers of an emptied queue to other messages."""

    def _flush(self) -> None:
        super()._flush()
        self.session.space.numbers = type(self.session.space.numbers)(1)


class _PublishingNothing(MemorySession):
    def publish_topics(self, topics: Sequence[Topic]) -> None:
        self.check_open()


class PublishesNothing(Broken):
    """Keeps every change to itself."""

    session_class = _PublishingNothing


class _PublishingTheFirst(MemorySession):
    def publish_topics(self, topics: Sequence[Topic]) -> None:
        super().publish_topics(topics[:1])


class PublishesTheFirst(Broken):
    """Publishes one change of many."""

    session_class = _PublishingTheFirst


class _PublishingToAllNamespaces(MemorySession):
    def publish_topics(self, topics: Sequence[Topic]) -> None:
        dispatcher = self._dispatchers.get(os.getpid())
        spaces = set[str]() if dispatcher is None else dispatcher.registry.namespaces()
        super().publish_topics([topic._replace(namespace=space) for topic in topics for space in spaces])


class PublishesToAllNamespaces(Broken):
    """Takes a key for the same in every namespace."""

    session_class = _PublishingToAllNamespaces


class _Fragile(Dispatcher):
    def _dispatch(self, found: Any) -> None:
        """Die of the first callback that fails."""
        for receiver, keys in self.registry.keys_by_subscriber(self._published).items():
            _callback_of(receiver)(frozenset(keys))
        self._published.clear()
        for receiver in self._due():
            _callback_of(receiver)(frozenset(receiver.keys()))


def _callback_of(receiver: Receiver) -> Callable[[frozenset[str]], object]:
    assert isinstance(receiver, Subscription)
    return receiver._callback


class _Dying(MemorySession):
    def dispatcher(self) -> Dispatcher:
        self.check_open()
        return self._dispatchers.setdefault(os.getpid(), _Fragile(self.make_source))


class DiesOfAFailure(Broken):
    """Lets a callback's failure end the dispatcher's thread."""

    session_class = _Dying


class _Forgetful(TopicSource):
    def __init__(self, source: TopicSource) -> None:
        self._source = source

    def wait(self, registry: Any, seconds: float) -> Any:
        """Wait for longer than was asked for."""
        return self._source.wait(registry, 3600.0)

    def wake(self) -> None:
        """End the wait."""
        self._source.wake()

    def close(self) -> None:
        """Nothing was opened."""


class _NeverRechecking(MemorySession):
    def make_source(self) -> TopicSource:
        return _Forgetful(super().make_source())


class NeverRechecks(Broken):
    """Waits for published changes and never rechecks."""

    session_class = _NeverRechecking


QUEUES: tuple[type[InMemoryQueueStorage], ...] = tuple(InMemoryQueueStorage.__subclasses__())
NOTIFIERS: tuple[type[Broken], ...] = tuple(kind for kind in Broken.__subclasses__() if kind.__module__ == __name__)
