"""Queues in memory."""

from __future__ import annotations

from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.messages import Messages
from feedstore.backends.memory.session import MemorySession
from feedstore.storage import QueueStorage
from feedstore.storage.queue import REFUSE, Delivery, numbers_of


class InMemoryQueueStorage(QueueStorage):
    """A queue of messages by number, with a heap of ready messages and a heap of delivered ones.

    Every call costs O(log n) for each message, under the store's lock. A push wakes the consumers that wait, which are
    all in this process.
    """

    session: MemorySession

    def _messages(self) -> Messages:
        return self.session.space.queues.get(self.name) or Messages()

    def _push(self, messages: list[bytes]) -> None:
        self.session.write(self._add, messages)
        self.session.publish_topics([self.topic])

    def _add(self, journal: Journal, messages: list[bytes]) -> None:
        space = self.session.space
        queue = space.queues.setdefault(self.name, Messages())
        surplus = len(queue.bodies) + len(messages) - self.max_length
        if surplus > 0 and self.when_full == REFUSE:
            raise self.full_error(len(messages))
        for message in messages:
            # Numbers are never reused, so that an old receipt never fits another message.
            queue.add(journal, next(space.numbers), message)
        queue.drop_oldest(journal, surplus)

    def _receive(self, limit: int) -> list[Delivery]:
        return self.session.write(self._take, limit).result

    def _take(self, journal: Journal, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        queue = self._messages()
        while len(found) < limit and (delivery := queue.take(journal, self.visibility_timeout)):
            found.append(delivery)
        return found

    def _ack(self, receipt: str) -> bool:
        numbers = numbers_of(receipt, 2)
        if numbers is None:
            return False
        return self.session.write(self._remove, *numbers).result

    def _delivery_count(self, receipt: str) -> int:
        """Return the second number of a receipt."""
        return (numbers_of(receipt, 2) or (0,))[-1]

    def _remove(self, journal: Journal, number: int, delivery: int) -> bool:
        queue = self._messages()
        if queue.deliveries.get(number) != delivery:
            return False
        queue.remove(journal, number)
        return True

    def _count(self) -> int:
        with self.session.lock:
            return len(self._messages().bodies)

    def _flush(self) -> None:
        self.session.write(self._remove_all)

    def _remove_all(self, journal: Journal) -> None:
        journal.remove_item(self.session.space.queues, self.name)

    def _seconds_to_next(self) -> float:
        with self.session.lock:
            seconds = self._messages().seconds_to_next()
        return self.visibility_timeout if seconds is None else min(seconds, self.visibility_timeout)
