"""Queues in Redis."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.keys import Keys, channel_of
from feedstore.backends.redis.scripts import ACK, PUSH, RECEIVE
from feedstore.storage import QueueStorage
from feedstore.storage.queue import REFUSE, Delivery

if TYPE_CHECKING:
    from feedstore.backends.redis.backend import RedisBackend

_GROUP = "g"
_TOKEN_BYTES = 8
_MILLISECONDS = 1000
# Far longer than any call goes on trying; the tokens of a push are kept as long.
_AGAIN_SECONDS = 120
_FIELDS = 4
_RECEIPT = re.compile(r"([0-9]{1,18}-[0-9]{1,18})-([0-9]{1,15})-([0-9a-f]{16})", re.ASCII)


class RedisQueueStorage(QueueStorage):
    """Messages in a stream with a consumer group, and a sorted set of those that somebody has by the time at which they
    fall due. They lie in the bucket of the queue's name, and are gone when the last message is.

    Push, receive and ack are one round trip and one script each, O(log n) for each message. A push that is sent again
    because its answer was lost adds nothing twice; an ack that is sent again may return False although it removed the
    message; of a receive that is, the first answer's messages fall due again. Times are the server's. Who waits is
    woken by the push itself, through the connection of the backend's watcher.
    """

    backend: RedisBackend

    def _push(self, messages: list[bytes]) -> None:
        tag, keys = self._place(self.backend.keys_to_write())
        again = max(_AGAIN_SECONDS, 2 * self.backend.store.settings.retry_seconds)
        arguments = (
            _GROUP,
            secrets.token_bytes(_TOKEN_BYTES),
            self.max_length,
            int(self.when_full != REFUSE),
            int(again * _MILLISECONDS),
            channel_of(self.backend.namespace),
            self.topic.digest,
        )
        command = call_script(tag, PUSH, keys, (*arguments, *messages), writes=True)
        if not self.backend.store.ask(command):
            raise self.full_error(len(messages))

    def _place(self, names: Keys) -> tuple[str, tuple[str, str, str]]:
        bucket = names.bucket_of(self.name)
        return names.tag(bucket), names.of_queue(bucket, self.name)

    def _receive(self, limit: int) -> list[Delivery]:
        tag, keys = self._place(self.backend.keys())
        hidden = max(1, round(self.visibility_timeout * _MILLISECONDS))
        command = call_script(tag, RECEIVE, keys[:2], (_GROUP, limit, hidden), writes=True)
        found = self.backend.store.ask(command)
        return [
            (f"{found[first].decode()}-{found[first + 2]}-{found[first + 1].hex()}", found[first + 3])
            for first in range(0, len(found), _FIELDS)
        ]

    def _ack(self, receipt: str) -> bool:
        parts = _RECEIPT.fullmatch(receipt)
        if parts is None:
            return False
        tag, keys = self._place(self.backend.keys())
        arguments = (_GROUP, parts[1], bytes.fromhex(parts[3]), parts[2])
        return bool(self.backend.store.ask(call_script(tag, ACK, keys[:2], arguments, writes=True)))

    def _count(self) -> int:
        tag, (stream, *_) = self._place(self.backend.keys())
        count: int = self.backend.store.ask(Command(tag, ("XLEN", stream)))
        return count

    def _flush(self) -> None:
        """One round trip."""
        tag, keys = self._place(self.backend.keys())
        self.backend.store.ask(Command(tag, ("UNLINK", *keys), writes=True))

    def _seconds_to_next(self) -> float:
        """One round trip."""
        tag, (_, due, _) = self._place(self.backend.keys())
        first, (seconds, microseconds) = self.backend.store.send(
            [Command(tag, ("ZRANGE", due, 0, 0, "WITHSCORES")), Command(tag, ("TIME",))]
        )
        if not first:
            return self.visibility_timeout
        left = float(first[1]) / _MILLISECONDS - int(seconds) - int(microseconds) / 1_000_000
        return min(max(0.0, left), self.visibility_timeout)
