"""The queue over timelines, which is the default of every backend without a queue of its own."""

from __future__ import annotations

import logging
import re
import secrets
import struct
import time
from hashlib import blake2b
from typing import Any, NamedTuple

from feedstore.forks import unlocked_property
from feedstore.ids import MAX_ID
from feedstore.serializers import MsgpackSerializer
from feedstore.storage.bounds import EVERYTHING, Bounds
from feedstore.storage.queue import LONGEST_SECONDS, REFUSE, Delivery, QueueStorage
from feedstore.storage.session import Session
from feedstore.storage.timeline_hooks import Entry, TimelineHooks

_logger = logging.getLogger("feedstore.queue")
# A message's id has 62 bits of nanoseconds since 1970, 42 random bits, and 24 bits that are 0. A claim's id is that of
# the message with the number of the delivery, from 1, in the last 24 bits.
_DELIVERY_BITS, _RANDOM_BITS = 24, 42
_DELIVERIES = 2**_DELIVERY_BITS - 1
_TIME_SHIFT = _DELIVERY_BITS + _RANDOM_BITS
_MESSAGES_PER_READ = 64
_DEADLINE = struct.Struct(">d")
_RECEIPT = re.compile(r"[0-9a-f]{32}", re.ASCII)


class _Claim(NamedTuple):
    """A consumer's claim on a message, until a deadline by the clock of the consumer."""

    claim_id: int
    deadline: float


class TimelineQueueStorage(QueueStorage):
    """A queue whose messages are the entries of one timeline, and whose claims are the entries of another.

    Both timelines are in a separate namespace for the queues of a namespace, so they never appear among its timelines.

    The consumer that adds the claim with the next number first has the message, which depends on the exact count of an
    add, or on ``_add_if_absent``. After winning a claim, the consumer checks that the message still exists and that no
    later claim does. Deadlines use the clocks of the consumers' machines, so synchronize these clocks.

    A push costs four round trips, an ack five, and a receive seven, with one more for each 64 messages that other
    consumers have.
    """

    @unlocked_property
    def _timelines(self) -> TimelineHooks[Any]:
        return _timelines_of(self.session)

    @unlocked_property
    def _keys(self) -> tuple[str, str]:
        return _message_key(self.name), f"{_name_hash(self.name)}:claims"

    def _push(self, messages: list[bytes]) -> None:
        key = self._keys[0]
        if self._count() + len(messages) > self.max_length and self.when_full == REFUSE:
            raise self.full_error(len(messages))
        newest = self._timelines._get_slice(key, 0, 1, EVERYTHING, True)
        # After the newest message, also if the clock of its producer is ahead of this one.
        first = max(time.time_ns(), (newest[0][0] >> _TIME_SHIFT) + 1 if newest else 0)
        self._timelines.add_to_storage(key, {_message_id(first + i): body for i, body in enumerate(messages)})
        if self.when_full != REFUSE:
            self._timelines._trim(key, self.max_length)
        self.session.publish_topics([self.topic])

    def _receive(self, limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        lowest = 0
        while len(found) < limit:
            messages = self._slice(self._keys[0], Bounds(lowest, MAX_ID), _MESSAGES_PER_READ)
            highest = messages[-1][0] | _DELIVERIES if len(messages) == _MESSAGES_PER_READ else MAX_ID
            claims = self._claims(Bounds(lowest, highest))
            self._forget_strays(claims, {message_id for message_id, _ in messages})
            for message_id, body in messages:
                if len(found) < limit and (receipt := self._claimed(message_id, claims.get(message_id))):
                    found.append((receipt, body))
            if highest == MAX_ID:
                break
            lowest = highest + 1
        return found

    def _claimed(self, message_id: int, last: _Claim | None) -> str | None:
        """Claim a message. Return the receipt, or None if another consumer has the message."""
        now = time.time()
        if last is not None and last.deadline > now:
            return None
        mine = (message_id if last is None else last.claim_id) + 1
        claims = self._keys[1]
        if not self._timelines._add_if_absent(claims, mine, _DEADLINE.pack(now + self.visibility_timeout)):
            return None
        holds = self._timelines._contains(self._keys[0], message_id) and self._last_claim(message_id) == mine
        given_up = range(mine, mine + 1) if not holds else range(message_id + 1, mine)[-1:]
        if given_up:
            self._timelines.remove_from_storage(claims, dict.fromkeys(given_up, b""))
        return f"{mine:032x}" if holds else None

    def _last_claim(self, message_id: int) -> int | None:
        last = self._claims(_claims_on(message_id)).get(message_id)
        return None if last is None else last.claim_id

    def _claims(self, bounds: Bounds) -> dict[int, _Claim]:
        """Return ``{message id: the last claim on it}``."""
        return {
            claim_id & ~_DELIVERIES: _claim(claim_id, data) for claim_id, data in self._slice(self._keys[1], bounds)
        }

    def _slice(self, key: str, bounds: Bounds, stop: int | None = None) -> list[Entry]:
        return self._timelines._get_slice(key, 0, stop, bounds, False)

    def _forget_strays(self, claims: dict[int, _Claim], message_ids: set[int]) -> None:
        """Remove claims on messages that were dropped, or whose acknowledging consumer died during the ack."""
        now = time.time()
        strays = [c.claim_id for message_id, c in claims.items() if message_id not in message_ids and c.deadline <= now]
        if strays:
            self._timelines.remove_from_storage(self._keys[1], dict.fromkeys(strays, b""))

    def _ack(self, receipt: str) -> bool:
        if not _RECEIPT.fullmatch(receipt):
            return False
        claim_id = int(receipt, 16)
        message_id = claim_id & ~_DELIVERIES
        messages, claims = self._keys
        if claim_id == message_id or self._last_claim(message_id) != claim_id:
            return False
        was_there = self._timelines._contains(messages, message_id)
        # Remove the message first: while the claim exists, no other consumer claims it.
        count = self._timelines.remove_from_storage(messages, {message_id: b""}).result
        on_it = [one for one, _ in self._slice(claims, _claims_on(message_id))]
        self._timelines.remove_from_storage(claims, dict.fromkeys(on_it or [claim_id], b""))
        return was_there if count is None else count > 0

    def _delivery_count(self, receipt: str) -> int:
        """Return the number in the last bits of a receipt."""
        return int(receipt, 16) & _DELIVERIES if _RECEIPT.fullmatch(receipt) else 0

    def _count(self) -> int:
        return self._timelines._count(self._keys[0])

    def _flush(self) -> None:
        for key in self._keys:
            self._timelines._delete(key)


def newest_messages(session: Session[Any], names: list[str]) -> dict[str, int]:
    """Return ``{name: id of the newest message}`` of the queues that are not empty."""
    keys = {_message_key(name): name for name in names}
    slices = _timelines_of(session)._get_many_slices(list(keys), 0, 1, EVERYTHING, True)
    return {keys[key]: entries[0][0] for key, entries in slices.items() if entries}


def _timelines_of(session: Session[Any]) -> TimelineHooks[Any]:
    # The names of the namespace and the queue may have their maximal lengths, so their hashes are used.
    digest = blake2b(session.namespace.encode(), digest_size=16).hexdigest()
    # The hooks write and read bytes, so any serializer with payloads fits.
    own = session.with_namespace(f"queue-{digest}")
    timelines: TimelineHooks[Any] = own.backend_class.timeline_storage_class(MsgpackSerializer, backend=own)
    return timelines


def _message_key(name: str) -> str:
    return f"{_name_hash(name)}:messages"


def _name_hash(name: str) -> str:
    return blake2b(name.encode(), digest_size=24).hexdigest()


def _message_id(nanoseconds: int) -> int:
    return (nanoseconds << _TIME_SHIFT) | (secrets.randbits(_RANDOM_BITS) << _DELIVERY_BITS)


def _claims_on(message_id: int) -> Bounds:
    return Bounds(message_id + 1, message_id | _DELIVERIES)


def _claim(claim_id: int, data: bytes) -> _Claim:
    """Return a claim. A damaged claim has expired, so that its message is delivered again."""
    if len(data) == _DEADLINE.size:
        deadline: float = _DEADLINE.unpack(data)[0]
        if deadline <= time.time() + LONGEST_SECONDS:
            return _Claim(claim_id, deadline)
    _logger.error("the claim %032x on a message is damaged and counts as expired: 0x%s", claim_id, data[:16].hex())
    return _Claim(claim_id, 0.0)
