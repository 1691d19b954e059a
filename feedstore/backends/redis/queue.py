"""Queues in Redis."""

from __future__ import annotations

import re
import secrets

from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.keys import Keys, channel_of
from feedstore.backends.redis.scripts import ACK, PUSH, RECEIVE
from feedstore.backends.redis.session import RedisSession
from feedstore.errors import InvalidValueError
from feedstore.storage import QueueStorage
from feedstore.storage.queue import REFUSE, Delivery

_GROUP = "g"
_TOKEN_BYTES = 8
MILLISECONDS = 1000
# The time for which the token of a push is kept. It is far longer than any call is retried.
AGAIN_SECONDS = 120
_FIELDS = 4
_NOT_YET = 2
MOST_PUSHED = 5_000
"""The most messages of one push. A push is one script, which stores all of them or none."""
_MOST_RECEIVED = 500
_RECEIPT = re.compile(r"([0-9]{1,18}-[0-9]{1,18})-([0-9]{1,15})-((?:[0-9a-f]{2})*)", re.ASCII)


class RedisQueueStorage(QueueStorage):
    """A queue over a stream with a consumer group, and a sorted set of delivered messages by their redelivery times.

    The keys are in the bucket of the queue's name, and are deleted with the last message.

    A push, a receive and an ack are one round trip and one script each, with O(log n) work for each message. A receive
    of more than 500 messages is several scripts. A push takes 5,000 messages at most. If the answer to a push was lost,
    the retry adds nothing again. The retry of an ack may return False although the first attempt removed the message.
    After the retry of a receive, the messages of the lost answer are redelivered. Times are the server's. A push wakes
    the consumers that wait, through the connection of the backend's dispatcher.
    """

    session: RedisSession

    def _push(self, messages: list[bytes]) -> None:
        """Push messages, with one round trip, or more if ``when_full="drop_oldest"`` must drop thousands."""
        if len(messages) > MOST_PUSHED:
            raise InvalidValueError(
                f"a push to {self} has {len(messages)} messages, but one call on Redis pushes {MOST_PUSHED} at most; "
                "push them in several calls"
            )
        names = self.session.keys_to_write()
        tag, keys = self._place(names)
        again = max(AGAIN_SECONDS, 2 * self.session.store.settings.retry_seconds)
        arguments = (
            _GROUP,
            secrets.token_bytes(_TOKEN_BYTES),
            self.max_length,
            int(self.when_full != REFUSE),
            int(again * MILLISECONDS),
            channel_of(self.session.namespace),
            self.topic.digest,
        )
        command = names.write_script(tag, PUSH, keys, (*arguments, *messages))
        answer = _NOT_YET
        while answer == _NOT_YET:
            (answer,) = self.session.store.write(names, [command])
        if not answer:
            raise self.full_error(len(messages))

    def _place(self, names: Keys) -> tuple[str, tuple[str, str, str]]:
        bucket = names.bucket_of(self.name)
        return names.tag(bucket), names.of_queue(bucket, self.name)

    def _receive(self, limit: int) -> list[Delivery]:
        """Receive messages, with one round trip for each 500."""
        tag, keys = self._place(self.session.keys())
        hidden = max(1, round(self.visibility_timeout * MILLISECONDS))
        deliveries: list[Delivery] = []
        while True:
            wanted = min(limit - len(deliveries), _MOST_RECEIVED)
            command = call_script(tag, RECEIVE, keys[:2], (_GROUP, wanted, hidden), writes=True)
            found = self.session.store.ask(command)
            deliveries += [_delivery(*found[first : first + _FIELDS]) for first in range(0, len(found), _FIELDS)]
            if len(found) < wanted * _FIELDS or len(deliveries) == limit:
                return deliveries

    def _ack(self, receipt: str) -> bool:
        parts = _RECEIPT.fullmatch(receipt)
        if parts is None:
            return False
        tag, keys = self._place(self.session.keys())
        arguments = (_GROUP, parts[1], bytes.fromhex(parts[3]), parts[2])
        return bool(self.session.store.ask(call_script(tag, ACK, keys[:2], arguments, writes=True)))

    def _delivery_count(self, receipt: str) -> int:
        """Return the number after the entry of a receipt, which counts the claims of the consumer group."""
        parts = _RECEIPT.fullmatch(receipt)
        return 0 if parts is None else int(parts[2])

    def _count(self) -> int:
        tag, (stream, *_) = self._place(self.session.keys())
        count: int = self.session.store.ask(Command(tag, ("XLEN", stream)))
        return count

    def _flush(self) -> None:
        """Delete the queue, with one round trip."""
        tag, keys = self._place(self.session.keys())
        self.session.store.ask(Command(tag, ("UNLINK", *keys), writes=True))

    def _seconds_to_next(self) -> float:
        """Return the seconds to the next redelivery, with one round trip."""
        tag, (_, due, _) = self._place(self.session.keys())
        first, (seconds, microseconds) = self.session.store.send(
            [Command(tag, ("ZRANGE", due, 0, 0, "WITHSCORES")), Command(tag, ("TIME",))]
        )
        if not first:
            return self.visibility_timeout
        left = float(first[1]) / MILLISECONDS - int(seconds) - int(microseconds) / 1_000_000
        return min(max(0.0, left), self.visibility_timeout)


def _delivery(entry: bytes, token: bytes | None, delivery: int, message: bytes | None) -> Delivery:
    """Return a receipt and the bytes of a message, or None for an entry that no push made."""
    return f"{entry.decode()}-{delivery}-{'' if token is None else token.hex()}", message
