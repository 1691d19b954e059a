"""Deliveries with limits: their reads, and the writes that follow from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from feedstore.backends.cassandra.batches import ROW_BYTES, TOMBSTONE_BYTES, Row, Write
from feedstore.backends.cassandra.store import Request, Store
from feedstore.backends.cassandra.stored import stored_id
from feedstore.backends.cassandra.values import Rows, bigint_value, list_values
from feedstore.ids import ID_BYTES
from feedstore.storage.timeline_hooks import Limits

KEYS_A_REQUEST = 25
IDS_A_REQUEST = 100
# For up to this many payloads, the servers search each timeline for each payload. For more payloads, the whole timeline
# is read once.
_MOST_SEARCHES = 4

Group = tuple[Sequence[str], Mapping[int, bytes]]
"""The keys of timelines that get the same entries, and those entries by id."""


class Plan(NamedTuple):
    """The writes of deliveries with limits.

    Attributes:
        companions: The writes to companions. Send them before ``timelines``: if the delivery fails in between, a
            repeated delivery still finds the entry absent from the timeline, and adds it to the companions again.
        timelines: The writes to timelines.
        filled: The number of entries that each companion gets, by its partition key.
    """

    companions: list[Write]
    timelines: list[Write]
    filled: dict[bytes, int]


class _Found(NamedTuple):
    """The state of the timelines before a delivery: which delivered ids they hold, and the ids of each payload."""

    present: dict[bytes, set[bytes]]
    by_payload: dict[tuple[bytes, bytes], set[bytes]]


def groups_of(deliveries: Mapping[str, Mapping[int, bytes]]) -> list[Group]:
    """Return deliveries grouped by the mapping of entries that they share."""
    groups: dict[int, tuple[list[str], Mapping[int, bytes]]] = {}
    for key, serialized in deliveries.items():
        groups.setdefault(id(serialized), ([], serialized))[0].append(key)
    return list(groups.values())


def planned(store: Store, prefix: str, groups: Sequence[Group], limits: Limits) -> Plan:
    """Read the state of the timelines that the limits depend on, and return the writes.

    Removals have a timestamp from before the read. An entry that another process adds during the read is newer, and
    stays.

    Args:
        store: The store.
        prefix: The first part of the timelines' partition keys.
        groups: The timelines and their entries.
        limits: ``max_per_payload`` and ``companions`` of the delivery.

    Returns:
        The plan of writes. The reads are concurrent: one request for each 25 timelines with the same entries and 100
        ids, and one for each 25 timelines and payload.
    """
    removed_at = bigint_value(store.clock.next())
    named = [([(prefix + key).encode() for key in keys], _with_bytes(serialized)) for keys, serialized in groups]
    found = _read(store, named, limits)
    writer = _Writer(store, limits, removed_at)
    for names, entries in named:
        by_payload = _by_payload(entries) if limits.max_per_payload else {}
        for name in names:
            writer.add(name, entries, by_payload, found)
    return writer.plan


class _Writer:
    """The writer of plans: it collects the writes of deliveries, one timeline at a time."""

    def __init__(self, store: Store, limits: Limits, removed_at: bytes) -> None:
        self.plan = Plan([], [], {})
        self._statements = store.statements
        self._suffixes = [suffix.encode() for suffix in limits.companions]
        self._most = limits.max_per_payload
        self._removed_at = removed_at
        self._added_at = bigint_value(store.clock.next())

    def add(
        self, name: bytes, entries: Mapping[bytes, bytes], by_payload: Mapping[bytes, set[bytes]], found: _Found
    ) -> None:
        """Add the writes of one timeline and its companions."""
        surplus = self._surplus(name, entries, by_payload, found)
        staying = {one: data for one, data in entries.items() if one not in surplus} if surplus else entries
        self.plan.timelines.append(self._write(name, staying, surplus))
        if not self._suffixes:
            return
        present = found.present.get(name, ())
        new = {one: data for one, data in staying.items() if one not in present}
        for companion in [name + suffix for suffix in self._suffixes] if new or surplus else ():
            self.plan.companions.append(self._write(companion, new, surplus))
            if new:
                self.plan.filled[companion] = len(new)

    def _surplus(
        self, name: bytes, entries: Mapping[bytes, bytes], by_payload: Mapping[bytes, set[bytes]], found: _Found
    ) -> set[bytes]:
        """Return the ids beyond the newest of each payload.

        If the timeline holds a delivered id under another payload, the delivery changes the payload.
        """
        surplus: set[bytes] = set()
        for payload, delivered in by_payload.items():
            kept = found.by_payload.get((name, payload), set()) - entries.keys()
            surplus.update(sorted(kept | delivered, reverse=True)[self._most :])
        return surplus

    def _write(self, name: bytes, entries: Mapping[bytes, bytes], removed: set[bytes]) -> Write:
        statements, at = self._statements, self._added_at
        rows: list[Row] = [
            (statements.add_entry, [at, data, name, one]) if data else (statements.add_reference, [at, name, one])
            for one, data in entries.items()
        ]
        rows += [(statements.remove_entry, [self._removed_at, name, one]) for one in removed]
        size = (ROW_BYTES + ID_BYTES) * len(entries) + sum(map(len, entries.values()))
        return Write((name,), rows, size + (TOMBSTONE_BYTES + ID_BYTES) * len(removed))


def _read(store: Store, named: Sequence[tuple[list[bytes], Mapping[bytes, bytes]]], limits: Limits) -> _Found:
    presence = list(_presence_requests(store, named)) if limits.companions else []
    payloads = list(_payload_requests(store, named)) if limits.max_per_payload else []
    pages = store.fetch_all(chain(presence, payloads)) if presence or payloads else []
    present: dict[bytes, set[bytes]] = {}
    for name, one in chain.from_iterable(pages[: len(presence)]):
        present.setdefault(name.encode(), set()).add(one)
    return _Found(present, _ids_by_payload(pages[len(presence) :]))


def _presence_requests(store: Store, named: Sequence[tuple[list[bytes], Mapping[bytes, bytes]]]) -> Iterator[Request]:
    for names, entries in named:
        parts = list(list_values(list(entries), IDS_A_REQUEST))
        for some in list_values(names, KEYS_A_REQUEST):
            for part in parts:
                yield store.statements.select_entries_by_id, [some, part]


def _payload_requests(store: Store, named: Sequence[tuple[list[bytes], Mapping[bytes, bytes]]]) -> Iterator[Request]:
    statements = store.statements
    for names, entries in named:
        payloads = _by_payload(entries)
        for some in list_values(names, KEYS_A_REQUEST) if payloads else ():
            if len(payloads) <= _MOST_SEARCHES:
                yield from ((statements.select_payload, [some, payload]) for payload in payloads)
            else:
                yield statements.select_payloads, [some]


def _ids_by_payload(pages: Sequence[Rows]) -> dict[tuple[bytes, bytes], set[bytes]]:
    found: dict[tuple[bytes, bytes], set[bytes]] = {}
    for name, one, data in chain.from_iterable(pages):
        # An empty timeline with a floor is one row without an id.
        if one is not None and data:
            stored_id(one, "a timeline")
            found.setdefault((name.encode(), data), set()).add(one)
    return found


def _with_bytes(serialized: Mapping[int, bytes]) -> dict[bytes, bytes]:
    return {one.to_bytes(ID_BYTES, "big"): data for one, data in serialized.items()}


def _by_payload(entries: Mapping[bytes, bytes]) -> dict[bytes, set[bytes]]:
    groups: dict[bytes, set[bytes]] = {}
    for one, data in entries.items():
        if data:
            groups.setdefault(data, set()).add(one)
    return groups
