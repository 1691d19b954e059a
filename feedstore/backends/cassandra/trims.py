"""Trims: their reads, and the range tombstone that each of them writes.

The timestamp of a tombstone is older than the read that decides which entries it drops. Entries that another process
adds during the read are newer, and stay. So do entries that are added after another process deletes the timeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from feedstore.backends.cassandra.batches import TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.deliveries import KEYS_A_REQUEST
from feedstore.backends.cassandra.floor import FLOOR_TIMESTAMP, Floor, floor_from_bytes, floor_to_bytes
from feedstore.backends.cassandra.store import Store
from feedstore.backends.cassandra.stored import stored_id
from feedstore.backends.cassandra.transaction import CassandraTransaction, Dropped, applied, most_removed
from feedstore.backends.cassandra.values import Rows, bigint_value, int_value, list_values
from feedstore.ids import ID_BYTES, MAX_ID, id_to_bytes
from feedstore.shown import WHOLE_KEY, shown

_LONGEST = 2**31 - 2
_ROWS_A_PAGE = 5_000
# The size of a floor and a range tombstone, as servers count it, without the floor's own bytes.
_DROP_BYTES = 52
_FLOOR_AT = bigint_value(FLOOR_TIMESTAMP)


def trims(store: Store, names: Sequence[bytes], length: int) -> list[Write]:
    """Return the writes that trim timelines to their newest ``length`` entries. A short enough timeline needs none.

    It reads ``length + 1`` ids of each timeline at the consistency of trims, with concurrent requests.
    """
    if length > _LONGEST:
        return []
    timestamp = store.clock.next()
    return [_drop(store, name, highest, timestamp, epoch) for name, highest, epoch in _cuts(store, names, length)]


def trims_with_companions(
    store: Store, companions: Mapping[bytes, Sequence[bytes]], length: int
) -> tuple[list[Write], list[Write]]:
    """Trim timelines, and remove the dropped entries from their companions.

    For each timeline that is too long, and for each of its companions, one more request reads the ids up to the newest
    dropped one. These requests are concurrent.

    Args:
        store: The store.
        companions: The companions of each timeline, all by their partition keys.
        length: The number of entries that stay.

    Returns:
        The writes that remove entries from companions, and the writes that trim.
    """
    if length > _LONGEST:
        return [], []
    timestamp = store.clock.next()
    cuts = _cuts(store, list(companions), length)
    groups = [[name, *companions[name]] for name, _, _ in cuts]
    statement = store.statements.select_up_to
    requests = [
        (statement, [name, id_to_bytes(highest)])
        for group, (_, highest, _) in zip(groups, cuts, strict=True)
        for name in group
    ]
    pages = iter(store.fetch_all(requests, store.settings.trim_consistency))
    removals = []
    for group in groups:
        dropped, *found = ({row[0] for row in next(pages)} for _ in group)
        for name, ids in zip(group[1:], found, strict=True):
            removals += _removal(store, name, ids, dropped, timestamp)
    return removals, [_drop(store, name, highest, timestamp, epoch) for name, highest, epoch in cuts]


def _removal(store: Store, name: bytes, ids: set[bytes], dropped: set[bytes], timestamp: int) -> list[Write]:
    """Return the write that removes the dropped ids from a companion, which holds ``ids`` in the range of the trim.

    It is one range tombstone, unless the companion holds entries in the range that its timeline does not hold.
    """
    going, at = ids & dropped, bigint_value(timestamp)
    if not going:
        return []
    if going == ids:
        row = (store.statements.remove_up_to, [at, name, max(going)])
        return [Write((name,), [row], TOMBSTONE_BYTES + ID_BYTES)]
    rows = [(store.statements.remove_entry, [at, name, one]) for one in going]
    return [Write((name,), rows, (TOMBSTONE_BYTES + ID_BYTES) * len(rows))]


def _cuts(store: Store, names: Sequence[bytes], length: int) -> list[tuple[bytes, int, int]]:
    """Return the timelines that are longer than ``length``, each with the newest id to drop and its epoch."""
    return [
        (name, stored_id(rows[length][0], _named(name)), floor_from_bytes(rows[0][1]).epoch)
        for name, rows in zip(names, _newest(store, names, length + 1), strict=True)
        if len(rows) > length and rows[length][0] is not None
    ]


def trims_in_batch(store: Store, name: bytes, length: int, transaction: CassandraTransaction) -> list[Write]:
    """Return the writes that trim a timeline in an atomic batch, after the earlier changes of the batch."""
    if length > _LONGEST:
        return []
    changes = transaction.changes.get(name, [])
    (rows,) = _newest(store, [name], min(length + 1 + most_removed(changes), _LONGEST))
    stored = [stored_id(row[0], _named(name)) for row in rows if row[0] is not None]
    ids, epoch = applied(stored, floor_from_bytes(rows[0][1]).epoch if rows else 0, changes)
    if len(ids) <= length:
        return []
    transaction.note(name, Dropped(ids[length]))
    return [_drop(store, name, ids[length], store.clock.next(), epoch)]


def deletion(store: Store, name: bytes, epoch: int) -> Write:
    """Return the write that deletes a timeline and begins an epoch, which is the deletion's timestamp.

    It drops all entries by a range. A tombstone of the whole partition would delete the floor permanently, because all
    later floors are written at one old timestamp.
    """
    return _dropping(store, name, Floor(epoch), MAX_ID, epoch)


def _newest(store: Store, names: Sequence[bytes], limit: int) -> list[Rows]:
    """Return the newest ids of each timeline. One request reads several timelines if one page holds their ids."""
    statements, asked, consistency = store.statements, int_value(limit), store.settings.trim_consistency
    together = min(KEYS_A_REQUEST, _ROWS_A_PAGE // limit, len(names))
    if together < 2:
        return store.fetch_all([(statements.select_newest, [name, asked]) for name in names], consistency)
    requests = [(statements.select_newest_of_many, [some, asked]) for some in list_values(names, together)]
    found: dict[str, Rows] = {}
    for name, *row in chain.from_iterable(store.fetch_all(requests, consistency)):
        found.setdefault(name, []).append(tuple(row))
    return [found.get(name.decode(), []) for name in names]


def _drop(store: Store, name: bytes, highest: int, timestamp: int, epoch: int) -> Write:
    return _dropping(store, name, Floor(epoch, highest + 1), highest, timestamp)


def _dropping(store: Store, name: bytes, floor: Floor, highest: int, timestamp: int) -> Write:
    data = floor_to_bytes(floor)
    rows = [
        (store.statements.raise_floor, [_FLOOR_AT, data, name]),
        (store.statements.remove_up_to, [bigint_value(timestamp), name, id_to_bytes(highest)]),
    ]
    return Write((name,), rows, _DROP_BYTES + len(data))


def _named(name: bytes) -> str:
    key = name.decode().partition(":")[2]
    return f"the timeline {shown(key, WHOLE_KEY)}"
