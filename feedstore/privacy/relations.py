"""The parts of a person's data that name the person apart from activities: relations, records, jobs and events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from feedstore.errors import InvalidTypeError, InvalidValueError, NoMessagesException
from feedstore.events import BackendEventStore
from feedstore.events.event import event_fields
from feedstore.fanout.dead_letters import DeadLetters
from feedstore.fanout.edges import token_of
from feedstore.fanout.jobs import Job
from feedstore.fanout.producer_modes import mode_key
from feedstore.privacy.parts import Part, PersonRecord
from feedstore.privacy.progress import ErasureProgress
from feedstore.storage import KvStorage, QueueStorage

_SHORT_SECONDS, _HIDDEN_SECONDS = 1.0, 10.0
_WAIT_SECONDS = 2.0
_MESSAGES_AT_ONCE = 100
_MESSAGES_A_SECOND = 200
"""The number of messages that a walk of a queue certainly reads in a second."""
_LISTS = ("users", "targets", "skipped", "unless_following")
_NEEDED = ("users", "targets")


class GraphPart(Part):
    """The follows, blocks and mutes of the person, in both directions."""

    name = "relations"

    def find(self) -> Iterator[PersonRecord]:
        """Yield the relations."""
        for graph in self.scope.graphs:
            for kind, is_own, follow in graph.relations(self.person):
                names = {"graph": graph.name, "kind": kind, "direction": "own" if is_own else "of others"}
                yield {"record": "relation", **names, **follow.to_dict()}

    def erase(self, progress: ErasureProgress) -> None:
        """End the relations."""
        for graph in self.scope.graphs:
            progress.count(self.name, graph.remove_user(self.person))


class RecordsPart(Part):
    """The records of feed managers that name the person: unique activities, routes, visits, modes and failed jobs."""

    name = "records"

    def find(self) -> Iterator[PersonRecord]:
        """Yield the records. It reads all unique activities, routes and dead letters."""
        for publications in self.scope.publications:
            for storage, content in publications.mentions(self.person):
                yield {"record": "publication", "storage": storage, "content": content}
        for kv, key in self._items():
            value = kv.get(key)
            if value is not None:
                yield {"record": "item", "storage": kv.name, "key": key, "content": value}
        for letters in self._letters():
            for letter in letters:
                if without_person(letter.job, self.person) != letter.job:
                    yield {"record": "dead letter", **letter.to_dict()}

    def erase(self, progress: ErasureProgress) -> None:
        """Remove the records, and the person from jobs that name others too."""
        for publications in self.scope.publications:
            progress.count(self.name, publications.forget_user(self.person))
        for kv, key in self._items():
            if kv.exists(key):
                kv.delete(key)
                progress.count(self.name, 1)
        for letters in self._letters():
            for letter in letters:
                job = without_person(letter.job, self.person)
                if job != letter.job:
                    letters.rewrite(letter, job)
                    progress.count("jobs", 1)

    def _items(self) -> Iterator[tuple[KvStorage, str]]:
        for name in self.scope.manager_names:
            yield self.scope.backend.kv_storage(f"{name}-visits"), token_of(self.person)
            yield self.scope.backend.kv_storage(f"{name}-producers"), mode_key(self.person)

    def _letters(self) -> Iterator[DeadLetters]:
        return (DeadLetters(self.scope.backend, name) for name in self.scope.manager_names)


class QueuesPart(Part):
    """The messages in queues that name the person.

    A queue has no read that leaves its messages to the consumers. So a search hides them for a second, and an erasure
    for 10 seconds, or for a second for each 200 messages. The erasure acknowledges those that it removes. Messages that
    consumers hold are not seen.
    """

    name = "messages"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.held = 0

    def find(self) -> Iterator[PersonRecord]:
        """Yield the messages that no consumer holds."""
        for queue in self.scope.queues:
            for _, message in _QueueWalk(queue, _SHORT_SECONDS):
                if without_person(message, self.person) != message:
                    yield {"record": "message", "queue": queue.name, "content": message}

    def erase(self, progress: ErasureProgress) -> None:
        """Remove the messages, and the person from jobs that name others too."""
        for queue in self.scope.queues:
            walk = _QueueWalk(queue, _HIDDEN_SECONDS, _WAIT_SECONDS)
            for receipt, message in walk:
                rest = without_person(message, self.person)
                if rest != message:
                    if rest is not None:
                        queue.push(rest)
                        walk.left += 1
                    queue.ack(receipt)
                    progress.count(self.name, 1)
            self.held += walk.left

    def count_left(self, progress: ErasureProgress) -> int:
        """Return 0: the erasure has received each message that it could see, and hidden the others for a while."""
        return 0


class _QueueWalk:
    """An iterable of the messages of a queue with their receipts, without damaged ones. It hides each message.

    It ends before the first message becomes visible again: it would read the same messages again instead of others.

    Args:
        queue: The queue.
        hidden_seconds: The shortest time for which a message is hidden.
        wait: The seconds to wait for messages that consumers hold.

    Attributes:
        left: The number of messages that it has not read. The caller adds those that it pushes during the walk.
    """

    def __init__(self, queue: QueueStorage, hidden_seconds: float, wait: float = 0.0) -> None:
        self.left = queue.count()
        self._seconds = max(hidden_seconds, self.left / _MESSAGES_A_SECOND)
        self._wait = wait
        self._queue = type(queue)(backend=queue.session, name=queue.name, visibility_timeout=self._seconds)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        end = time.monotonic() + self._seconds
        while self.left > 0 and time.monotonic() < end:
            limit = min(self.left, _MESSAGES_AT_ONCE)
            try:
                found = self._queue.receive_many(limit, self._wait, on_damaged=lambda *damaged: None)
            except NoMessagesException:
                return
            self.left -= len(found)
            yield from found


class EventsPart(Part):
    """The events whose source is the person."""

    name = "events"

    def find(self) -> Iterator[PersonRecord]:
        """Yield the events."""
        for event in self._store().events_of(self.person):
            yield {"record": "event", **event_fields(event)}

    def erase(self, progress: ErasureProgress) -> None:
        """Delete the events, and the person from the sources."""
        progress.count(self.name, self._store().remove_source(self.person))

    def _store(self) -> BackendEventStore:
        return BackendEventStore(self.scope.backend)


def without_person(message: Any, person: str) -> Any:
    """Return a message without a person, or None if the message has to go.

    Of a job of a feed manager, the person is removed from the lists of users; a job about the person alone, and any
    other message with the name as a value at any depth, has to go.

    >>> without_person({"to": "ann", "text": "hello"}, "ann"), without_person([1, 2], "ann")
    (None, [1, 2])
    """
    try:
        job = Job.from_dict(message)
    except (InvalidTypeError, InvalidValueError):
        return None if _names(message, person) else message
    if person in (job.followers_of, job.actor):
        return None
    rest: dict[str, Any] = dict(message)
    for name in _LISTS:
        if person in rest.get(name, ()):
            rest[name] = [one for one in rest[name] if one != person]
            if not rest[name]:
                del rest[name]
    is_needed = all(name in rest or name not in message for name in _NEEDED) or job.followers_of is not None
    return rest if is_needed else None


def _names(value: Any, person: str) -> bool:
    if isinstance(value, dict):
        return any(_names(one, person) for pair in value.items() for one in pair)
    if isinstance(value, list):
        return any(_names(one, person) for one in value)
    return not isinstance(value, bool) and isinstance(value, (str, int)) and str(value) == person
