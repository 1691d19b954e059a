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
# Far longer than any call goes on trying; the tokens of a push are kept as long.
AGAIN_SECONDS = 120
_FIELDS = 4
_NOT_YET = 2
MOST_PUSHED = 5_000
"""How many messages one call may push: all of them or none, which takes one script."""
_MOST_RECEIVED = 500
_RECEIPT = re.compile(r"([0-9]{1,18}-[0-9]{1,18})-([0-9]{1,15})-((?:[0-9a-f]{2})*)", re.ASCII)


class RedisQueueStorage(QueueStorage):
    """Messages in a stream with a consumer group, and a sorted set of those that somebody has by the time at which they
    fall due. They lie in the bucket of the queue's name, and are gone when the last message is.

    Push, receive and ack are one round trip and one script each, O(log n) for each message; a receive of more than
    500 messages is several. A push takes 5,000 messages at most. A push that is sent again
    because its answer was lost adds nothing twice; an ack that is sent again may return False although it removed the
    message; of a receive that is, the first answer's messages fall due again. Times are the server's. Who waits is
    woken by the push itself, through the connection of the backend's dispatcher.
    """

    session: RedisSession

    def _push(self, messages: list[bytes]) -> None:
        """One round trip; more where ``when_full="drop_oldest"`` has to drop thousands."""
        if len(messages) > MOST_PUSHED:
            raise InvalidValueError(
                f"{len(messages)} messages are pushed to {self} in one call, and a call on Redis pushes {MOST_PUSHED} "
                "at most, for it is one script; push them in several calls"
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
        """One round trip for each 500 messages."""
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

    def _count(self) -> int:
        tag, (stream, *_) = self._place(self.session.keys())
        count: int = self.session.store.ask(Command(tag, ("XLEN", stream)))
        return count

    def _flush(self) -> None:
        """One round trip."""
        tag, keys = self._place(self.session.keys())
        self.session.store.ask(Command(tag, ("UNLINK", *keys), writes=True))

    def _seconds_to_next(self) -> float:
        """One round trip."""
        tag, (_, due, _) = self._place(self.session.keys())
        first, (seconds, microseconds) = self.session.store.send(
            [Command(tag, ("ZRANGE", due, 0, 0, "WITHSCORES")), Command(tag, ("TIME",))]
        )
        if not first:
            return self.visibility_timeout
        left = float(first[1]) / MILLISECONDS - int(seconds) - int(microseconds) / 1_000_000
        return min(max(0.0, left), self.visibility_timeout)


def _delivery(entry: bytes, token: bytes | None, delivery: int, message: bytes | None) -> Delivery:
    """Return a receipt and the bytes of a message; no bytes for an entry that no push made."""
    return f"{entry.decode()}-{delivery}-{'' if token is None else token.hex()}", message
