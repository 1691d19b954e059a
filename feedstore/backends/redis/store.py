"""What all backends on one Redis share: the way to it, and what is known of its namespaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from feedstore.backends.redis.batch import Write, in_one_script, in_scripts
from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.keys import FORMAT, MOST_BUCKETS, Keys, marker_key
from feedstore.backends.redis.options import DEFAULT_BUCKETS, Settings
from feedstore.backends.redis.scripts import NAMESPACE
from feedstore.backends.redis.transport import Transport
from feedstore.errors import ForkedClientError, InvalidValueError, NewerSchemaError, StorageError, StoredDataError
from feedstore.shown import shown


class Store:
    """A server or a Cluster that backends use together. Nothing is connected before the first command.

    Each process gets a transport of its own: a child process leaves its parent's alone, neither using nor closing it.
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
        self._marked: set[str] = set()

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands, in one round trip."""
        return self._transport().send(commands)

    def ask(self, command: Command) -> Any:
        """Return the answer to one command."""
        return self._transport().ask(command)

    def new_connection(self) -> Any:
        """Return a connection of redis-py's that nobody else uses, not connected yet; the caller closes it."""
        return self._transport().new_connection()

    def _transport(self) -> Transport:
        process = os.getpid()
        transport = self._transports.get(process)
        if transport is None:
            if self._owner not in (None, process):
                raise ForkedClientError(
                    "a client that was handed in cannot be used in a forked process; connect by URL, or hand a client "
                    "in that the child has made"
                )
            # Making one connects nothing, so two threads that both do it do no harm.
            transport = self._transports.setdefault(process, self._make_transport(self._marked.clear))
            if self.closed:
                # Whoever closed has not seen it.
                transport.close()
        return transport

    def keys(self, namespace: str) -> Keys:
        """Return the keys of a namespace as they are fixed, or would be if nothing was ever written to it.

        One round trip at the first call of a process, and before the first write.
        """
        known = self._keys.get(namespace)
        if known is not None:
            return known
        found = self.ask(Command(namespace, ("HMGET", marker_key(namespace), "format", "buckets")))
        if found[0] is None:
            return Keys(namespace, self.settings.buckets or DEFAULT_BUCKETS)
        return self._remembered(namespace, found)

    def keys_to_write(self, namespace: str) -> Keys:
        """Return the keys of a namespace, which is marked now if it is new.

        One round trip at the first call, and at the first one after a connection was made: a server that comes back
        without its data gets the marker again.
        """
        known = self._keys.get(namespace)
        if known is not None and namespace in self._marked:
            return known
        buckets = (self.settings.buckets or DEFAULT_BUCKETS) if known is None else known.buckets
        # It does not wait for replicas as writes may have to: what was to be written would not be, if none confirms.
        script = call_script(namespace, NAMESPACE, (marker_key(namespace),), (FORMAT, buckets))
        keys = self._remembered(namespace, self.ask(script))
        self._marked.add(namespace)
        return keys

    def _remembered(self, namespace: str, found: list[bytes | None]) -> Keys:
        stored_format, buckets = map(_number, found)
        if stored_format > FORMAT:
            raise NewerSchemaError(
                f"the namespace {shown(namespace)} was written in format {stored_format} by a newer release of "
                "feedstore; "
                f"this one reads up to format {FORMAT}: upgrade feedstore"
            )
        if stored_format < 1 or not 1 <= buckets <= MOST_BUCKETS:
            raise StoredDataError(
                f"the marker of the namespace {shown(namespace)}, {shown(marker_key(namespace))}, is damaged"
            )
        if self.settings.buckets not in (None, buckets):
            raise InvalidValueError(
                f"the namespace {shown(namespace)} has {buckets} buckets for good, and {self.settings.buckets} were "
                "asked "
                "for; leave buckets and colocate out, or take another namespace"
            )
        keys = self._keys.setdefault(namespace, Keys(namespace, buckets))
        if keys.buckets != buckets:
            raise StorageError(
                f"the namespace {shown(namespace)} had {keys.buckets} buckets and was made anew with {buckets} while "
                "this "
                "backend was open; connect again"
            )
        return keys

    @property
    def expiry(self) -> int:
        """The milliseconds after which an idle timeline expires; 0 for never."""
        return 0 if self.settings.idle_expiry is None else max(1, int(self.settings.idle_expiry * 1000))

    def carry_out(self, keys: Keys, writes: Sequence[Write]) -> list[Any]:
        """Carry out writes in order and return what each counts."""
        commands, positions = in_scripts(keys, writes, self.expiry, self.is_cluster)
        counts: list[Any] = [None] * len(writes)
        answers = (count for answer in self.send(commands) for count in answer)
        for position, count in zip(positions, answers, strict=True):
            counts[position] = count
        return counts

    def carry_out_at_once(self, keys: Keys, writes: Sequence[Write]) -> list[Any]:
        """Carry out writes, all or none, and return what each counts."""
        counts: list[Any] = self.ask(in_one_script(keys, writes, self.expiry))
        return counts

    def close(self) -> None:
        """Close what this process opened."""
        self.closed = True
        transport = self._transports.get(os.getpid())
        if transport is not None:
            transport.close()


def _number(text: bytes | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0
