"""The store: the transport to one Redis, and the remembered markers of its namespaces, which all backends share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from feedstore.backends.redis.batch import Write
from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.execution import Execution
from feedstore.backends.redis.keys import FORMAT, MOST_BUCKETS, Keys, marker_key
from feedstore.backends.redis.options import DEFAULT_BUCKETS, Settings
from feedstore.backends.redis.scripts import NAMESPACE
from feedstore.backends.redis.transport import Transport
from feedstore.errors import (
    AtomicityError,
    ForkedClientError,
    InvalidValueError,
    NewerSchemaError,
    OutdatedSchemaError,
    StorageError,
    StoredDataError,
)
from feedstore.shown import shown

_UNMARKED, _DAMAGED, _LARGE = b"UNMARKED", b"DAMAGED ", b"LARGE "
_REMEMBERED_SECONDS = 10.0
_MOST_MARKINGS = 20
_MOST_DIGITS = 9


class Store:
    """A server or a Cluster that backends share. It connects at the first command.

    Each process has its own transport. A child process neither uses nor closes its parent's.
    """

    def __init__(
        self,
        make_transport: Callable[[Callable[[], object]], Transport],
        settings: Settings,
        label: str,
        is_cluster: bool,
        was_given: bool,
    ) -> None:
        self.settings = settings
        self.label = label
        self.is_cluster = is_cluster
        self.closed = False
        self._make_transport = make_transport
        self._transports: dict[int, Transport] = {}
        self._owner = os.getpid() if was_given else None
        self._keys: dict[str, Keys] = {}
        self._read_again: dict[str, float] = {}
        self._met: set[str] = set()

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands, in one round trip."""
        return self._transport().send(commands)

    def ask(self, command: Command) -> Any:
        """Return the answer to one command."""
        return self._transport().ask(command)

    def ask_together(self, commands: Sequence[Command], otherwise: Command) -> tuple[list[Any] | None, Any]:
        """Return the answers to commands at one moment, or None and the answer to another command."""
        return self._transport().ask_together(commands, otherwise)

    def new_connection(self) -> Any:
        """Return an unconnected connection of redis-py that only the caller uses, and closes."""
        return self._transport().new_connection()

    def _transport(self) -> Transport:
        process = os.getpid()
        transport = self._transports.get(process)
        if transport is None:
            if self._owner not in (None, process):
                raise ForkedClientError(
                    "the given client was made before this process was forked and cannot be used here; connect by URL, "
                    "or pass a client that the child has made"
                )
            # A new transport has no connection, so it does no harm if two threads make one.
            transport = self._transports.setdefault(process, self._make_transport(self._read_again.clear))
            if self.closed:
                # The thread that closed the store did not close this transport.
                transport.close()
        return transport

    def write(self, keys: Keys, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to scripts that write, in one round trip.

        The scripts compare the namespace's marker with the one that this process remembers. If they differ, because the
        namespace is new or the store was emptied, a script writes nothing. The method then writes the marker and sends
        the scripts again. It raises :class:`StorageError` if the marker has another number of buckets now.
        """
        self._mark_before_waiting(keys, commands)
        answers = self.send(commands)
        for _ in range(_MOST_MARKINGS):
            pending = self._unmarked(commands, answers)
            if not pending:
                _check_answers(answers)
                return answers
            self._mark(keys, {commands[position].tag for position in pending})
            again = self.send([commands[position] for position in pending])
            for position, answer in zip(pending, again, strict=True):
                answers[position] = answer
        raise StoredDataError(
            f"the marker of the namespace {shown(keys.namespace)}, {shown(marker_key(keys.namespace))}, is damaged"
        )

    def _mark_before_waiting(self, keys: Keys, commands: Sequence[Command]) -> None:
        """Mark the buckets that are new to this process if writes wait for replicas.

        A script that replicas did not confirm is not sent again, so it must not fail because of a missing marker.
        """
        if self.is_cluster and self.settings.wait_replicas:
            unknown = {command.tag for command in commands} - self._met
            if unknown:
                self._mark(keys, unknown)
                self._met |= unknown

    def _unmarked(self, commands: Sequence[Command], answers: list[Any]) -> list[int]:
        """Return the positions of the scripts that found no valid marker, and of the later scripts of their buckets."""
        refused: set[str] = set()
        positions = []
        for position, answer in enumerate(answers):
            group = commands[position].tag if self.is_cluster else ""
            if answer == _UNMARKED:
                refused.add(group)
            if group in refused:
                positions.append(position)
        return positions

    def _mark(self, keys: Keys, tags: set[str]) -> None:
        """Write the missing markers: the namespace's, and on a Cluster its copies. One round trip, on a Cluster two."""
        self._remembered(keys.namespace, self._marked(keys.namespace, keys.buckets))
        if not self.is_cluster:
            return
        scripts = [call_script(tag, NAMESPACE, (marker_key(tag),), (FORMAT, keys.buckets)) for tag in sorted(tags)]
        for tag, found in zip(sorted(tags), self.send(scripts), strict=True):
            if _number(found[1]) != keys.buckets:
                raise StoredDataError(
                    f"the marker of a bucket, {shown(marker_key(tag))}, holds {_number(found[1])} buckets, and the "
                    f"marker of the namespace, {shown(marker_key(keys.namespace))}, holds {keys.buckets}"
                )

    def keys(self, namespace: str) -> Keys:
        """Return the keys of a namespace for a read. A namespace that was never written to has the default buckets.

        It costs one round trip at the first call of a process, before the first write, after each connect, and every
        ten seconds, because the store may have been emptied or restored, and filled by another process.
        """
        known = self._keys.get(namespace)
        if known is not None and time.monotonic() < self._read_again.get(namespace, 0.0):
            return known
        found = self._stored(namespace)
        if found is not None:
            return self._remembered(namespace, found)
        return known or Keys(namespace, self.settings.buckets or DEFAULT_BUCKETS, self.is_cluster)

    def keys_to_write(self, namespace: str) -> Keys:
        """Return the keys of a namespace for a write, after marking a new namespace.

        It costs one round trip at the first call of a process, on a Cluster three. Later, each write checks the marker.
        """
        known = self._keys.get(namespace)
        if known is not None:
            return known
        found = self._stored(namespace) if self.is_cluster else None
        buckets = (self.settings.buckets or DEFAULT_BUCKETS) if found is None else _number(found[1])
        return self._remembered(namespace, self._marked(namespace, buckets))

    def _marked(self, namespace: str, buckets: int) -> list[bytes | None]:
        """Return the marker of a namespace, after writing it if there is none."""
        # The marker does not wait for replicas: if none confirmed it, the write after it would not be sent.
        found: list[bytes | None] = self.ask(
            call_script(namespace, NAMESPACE, (marker_key(namespace),), (FORMAT, buckets))
        )
        return found

    def _stored(self, namespace: str) -> list[bytes | None] | None:
        """Return the marker of a namespace, or None. On a Cluster that has lost it, return the copy of a bucket."""
        found: list[bytes | None] = self.ask(_reading_marker(namespace))
        if found[0] is not None:
            return found
        if not self.is_cluster:
            return None
        copies = self.send([_reading_marker(f"{namespace}:{bucket}") for bucket in range(MOST_BUCKETS)])
        return next((copy for copy in copies if copy[0] is not None), None)

    def _remembered(self, namespace: str, found: list[bytes | None]) -> Keys:
        stored_format, buckets = map(_number, found)
        if stored_format > FORMAT:
            raise NewerSchemaError(
                f"the namespace {shown(namespace)} was written in format {stored_format} by a newer release of "
                f"feedstore; this release reads up to format {FORMAT}: upgrade feedstore"
            )
        if stored_format < 1 or not 1 <= buckets <= MOST_BUCKETS:
            raise StoredDataError(
                f"the marker of the namespace {shown(namespace)}, {shown(marker_key(namespace))}, is damaged"
            )
        if stored_format < FORMAT:
            raise OutdatedSchemaError(
                f"the namespace {shown(namespace)} was written in format {stored_format} by an older release of "
                f"feedstore, and this release reads format {FORMAT} only: use another namespace, or delete the keys "
                f"that begin with {shown('feedstore{' + namespace)}"
            )
        if self.settings.buckets not in (None, buckets):
            raise InvalidValueError(
                f"the namespace {shown(namespace)} has {buckets} buckets, which cannot change to "
                f"{self.settings.buckets}; remove the options buckets and colocate, or use another namespace"
            )
        keys = self._keys.setdefault(namespace, Keys(namespace, buckets, self.is_cluster))
        if keys.buckets != buckets:
            raise StorageError(
                f"the namespace {shown(namespace)} had {keys.buckets} buckets and was created again with {buckets} "
                "while this backend was open; connect again"
            )
        self._read_again[namespace] = time.monotonic() + _REMEMBERED_SECONDS
        return keys

    @property
    def expiry(self) -> int:
        """The milliseconds after which an idle timeline expires, or 0 if timelines do not expire."""
        return 0 if self.settings.idle_expiry is None else max(1, int(self.settings.idle_expiry * 1000))

    def carry_out(self, keys: Keys, writes: Sequence[Write]) -> list[Any]:
        """Carry out writes in order, and return the count of each."""
        return Execution(self, keys).spread(writes)

    def carry_out_at_once(self, keys: Keys, writes: Sequence[Write]) -> list[Any]:
        """Carry out all writes or none, and return the count of each."""
        return Execution(self, keys).at_once(writes)

    def close(self) -> None:
        """Close the transport of this process."""
        self.closed = True
        transport = self._transports.get(os.getpid())
        if transport is not None:
            transport.close()


def _reading_marker(tag: str) -> Command:
    return Command(tag, ("HMGET", marker_key(tag), "format", "buckets"))


def _check_answers(answers: list[Any]) -> None:
    for answer in answers:
        if isinstance(answer, bytes) and answer.startswith(_LARGE):
            _, size, timeline = answer.decode("utf-8", "backslashreplace").split(" ", 2)
            raise AtomicityError(
                f"max_per_payload reads all payloads of a timeline in one script; {shown(timeline)} holds {size}, more "
                "than the limit of 40000: trim the timeline, or pass max_length to each delivery"
            )
        if isinstance(answer, bytes) and answer.startswith(_DAMAGED):
            timeline = answer[len(_DAMAGED) :].decode("utf-8", "backslashreplace")
            raise StoredDataError(f"the timeline {shown(timeline)} is damaged; delete the timeline")


def _number(text: bytes | None) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) <= _MOST_DIGITS else 0
