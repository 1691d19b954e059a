"""Queues in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedstore.backends.memory.messages import Messages
from feedstore.storage import QueueStorage
from feedstore.storage.queue import REFUSE, Delivery, numbers_of

if TYPE_CHECKING:
    from feedstore.backends.memory.backend import MemoryBackend


class InMemoryQueueStorage(QueueStorage):
    """Messages by number, with a heap of those that wait and one of those that somebody has.

    Every call is O(log n) for each message, under the store's lock. Who waits is woken by a push in this process, which
    is the only one.
    """

    backend: MemoryBackend

    def _messages(self) -> Messages:
        return self.backend.space.queues.get(self.name) or Messages()

    def _push(self, messages: list[bytes]) -> None:
        with self.backend.lock:
            space = self.backend.space
            queue = space.queues.setdefault(self.name, Messages())
            surplus = len(queue.bodies) + len(messages) - self.max_length
            if surplus > 0 and self.when_full == REFUSE:
                raise self.full_error(len(messages))
            for message in messages:
                # No number is ever given again, so that an old receipt never fits another message.
                queue.add(next(space.numbers), message)
            queue.drop_oldest(surplus)
        self.backend.announce_topics([self.topic])

    def _receive(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        with self.backend.lock:
            queue = self._messages()
            while len(found) < limit and (delivery := queue.take(self.visibility_timeout)):
                found.append(delivery)
        return found

    def _ack(self, receipt: str) -> bool:
        numbers = numbers_of(receipt, 2)
        if numbers is None:
            return False
        number, delivery = numbers
        with self.backend.lock:
            queue = self._messages()
            if queue.deliveries.get(number) != delivery:
                return False
            queue.remove(number)
            return True

    def _count(self) -> int:
        with self.backend.lock:
            return len(self._messages().bodies)

    def _flush(self) -> None:
        with self.backend.lock:
            self.backend.space.queues.pop(self.name, None)

    def _seconds_to_next(self) -> float:
        with self.backend.lock:
            seconds = self._messages().seconds_to_next()
        return self.visibility_timeout if seconds is None else min(seconds, self.visibility_timeout)
