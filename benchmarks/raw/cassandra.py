"""The hand-written side with cassandra-driver."""

from __future__ import annotations

import logging
import socket
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any
from zlib import crc32

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import BatchStatement, BatchType, BoundStatement, PreparedStatement, tuple_factory

from benchmarks.side import Side
from benchmarks.workloads import MAX_PER_PAYLOAD, payload_of
from feedstore import Activity, ActivityRef
from feedstore.activity import references_to
from feedstore.ids import ID_BYTES
from feedstore.serializers import MsgpackSerializer

_TIMELINES = "CREATE TABLE timelines (key text, id blob, PRIMARY KEY (key, id)) WITH CLUSTERING ORDER BY (id DESC)"
_SAME = """CREATE TABLE same (key text, payload blob, id blob, PRIMARY KEY (key, payload, id))
    WITH CLUSTERING ORDER BY (payload ASC, id DESC)"""
_ACTIVITIES = "CREATE TABLE activities (slice int, shard int, id blob, data blob, PRIMARY KEY ((slice, shard), id))"
# A slice covers some 35 minutes of ids, in four partitions.
_SLICE_SHIFT = 101
_SHARDS = 4
_ROWS_IN_A_BATCH = 200
# The rows of one partition are one write of the server, which no limit of batches concerns.
_ROWS_IN_A_PARTITION = 1000
_AT_ONCE = 4
_KEYS_A_REQUEST = 25
_SECONDS = 60


class RawCassandraSide(Side):
    """One connection to a node, prepared statements, values that are bound by hand, concurrent unlogged batches.

    A timeline is a partition of ids, and activities lie in four partitions for each half an hour. Timelines that are
    fanned out to are trimmed by a range tombstone, as often as the product trims them: after twice their length, or
    half of ``excess``, in deliveries.

    Tried and slower for the same work: a socket that waits to fill its packets, which is the driver's default (a batch
    of 100 rows takes 45 ms instead of 1); values that the driver binds (newest 25 1.3 times the time); single
    statements (10 times and more). Requests on the connection itself would take 0.6 of the time for newest 25, without
    another node or a retry.
    """

    def __init__(self, hosts: Sequence[str], port: int, keyspace: str, excess: int, stored: Callable[[], int]) -> None:
        # The server warns of batches across more than 10 partitions, and the driver logs each warning.
        logging.getLogger("cassandra.protocol").setLevel(logging.ERROR)
        self._serializer = MsgpackSerializer()
        self._stored = stored
        self.fan_out_excess = excess
        self._untrimmed: dict[str, int] = {}
        self._cluster = _cluster(hosts, port)
        self._session = self._cluster.connect(keyspace)
        for table in (_TIMELINES, _SAME, _ACTIVITIES):
            self._session.execute(table)
        prepare = self._session.prepare
        self._add = prepare("INSERT INTO timelines (key, id) VALUES (?, ?)")
        self._trim = prepare("DELETE FROM timelines WHERE key = ? AND id < ?")
        self._newest = prepare("SELECT id FROM timelines WHERE key = ? LIMIT ?")
        self._older = prepare("SELECT id FROM timelines WHERE key = ? AND id < ? LIMIT ?")
        self._one = prepare("SELECT id FROM timelines WHERE key = ? AND id = ?")
        self._holders = prepare("SELECT key FROM timelines WHERE key IN ? AND id = ?")
        self._index = prepare("SELECT count(*) FROM timelines WHERE key = ? AND id > ?")
        self._count = prepare("SELECT count(*) FROM timelines WHERE key = ?")
        self._add_same = prepare("INSERT INTO same (key, payload, id) VALUES (?, ?, ?)")
        self._same = prepare("SELECT key, id FROM same WHERE key IN ? AND payload = ?")
        self._remove = prepare("DELETE FROM timelines WHERE key = ? AND id = ?")
        self._remove_same = prepare("DELETE FROM same WHERE key = ? AND payload = ? AND id <= ?")
        self._add_activity = prepare("INSERT INTO activities (slice, shard, id, data) VALUES (?, ?, ?, ?)")
        self._activities = prepare("SELECT id, data FROM activities WHERE slice = ? AND shard = ? AND id IN ?")

    def add_activities(self, activities: Sequence[Activity]) -> None:
        self._write(self._activity_batches(activities))

    def _activity_batches(self, activities: Sequence[Activity]) -> Iterator[BatchStatement]:
        dumps = self._serializer.dumps
        partitions: defaultdict[tuple[bytes, bytes], list[tuple[bytes, ...]]] = defaultdict(list)
        for activity in activities:
            activity_id = activity.serialization_id
            partition = _partition(activity_id)
            partitions[partition].append((*partition, activity_id.to_bytes(ID_BYTES, "big"), dumps(activity)))
        add, most = self._add_activity, _ROWS_IN_A_PARTITION
        return (batch for rows in partitions.values() for batch in _batches(add, rows, most))

    def add_many(self, key: str, activities: Sequence[Activity]) -> None:
        self.add_ids(key, [activity.serialization_id for activity in activities])

    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        name = key.encode()
        rows = ((name, activity_id.to_bytes(ID_BYTES, "big")) for activity_id in activity_ids)
        self._write(_batches(self._add, rows, _ROWS_IN_A_PARTITION))

    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        self._write(self._entry_batches(keys, activities))
        self._trim_due(keys, len(activities), max_length)

    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        # Neither side is atomic here: no batch of the server may have a thousand partitions.
        self._write(chain(self._activity_batches([activity]), self._entry_batches(keys, [activity])))
        self._trim_due(keys, 1, max_length)

    def add_with_payloads(self, keys: Sequence[str], activities: Sequence[Activity]) -> None:
        entries = [(payload_of(one), one.serialization_id.to_bytes(ID_BYTES, "big")) for one in activities]
        for name in [key.encode() for key in keys]:
            self._write(_batches(self._add, ((name, one) for _, one in entries), _ROWS_IN_A_PARTITION))
            same = ((name, payload, one) for payload, one in entries)
            self._write(_batches(self._add_same, same, _ROWS_IN_A_PARTITION))

    def publish_with_payload(
        self, activity: Activity, keys: Sequence[str], max_length: int, companions: Sequence[str]
    ) -> None:
        activity_id, payload = activity.serialization_id.to_bytes(ID_BYTES, "big"), payload_of(activity)
        names = [key.encode() for key in keys]
        asked = ((self._holders, [some, activity_id]) for some in _parts(names)) if companions else ()
        present = {row[0] for _, rows in self._read(asked) for row in rows}
        new = [key for key in keys if key not in present]
        self._write(self._activity_batches([activity]))
        self._write(self._entry_batches([key + suffix for key in new for suffix in companions], [activity]))
        self._write(self._entry_batches(keys, [activity]))
        same = ((name, payload, activity_id) for name in names)
        self._write(_batches(self._add_same, same, _ROWS_IN_A_BATCH))
        self._drop_beyond_payload_limit(names, payload, companions)
        self._trim_due(keys, 1, max_length)

    def _drop_beyond_payload_limit(self, names: Sequence[bytes], payload: bytes, companions: Sequence[str]) -> None:
        ids: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for _, rows in self._read((self._same, [some, payload]) for some in _parts(names)):
            for name, one in rows:
                ids[name.encode()].append(one)
        going = [(name, one) for name, same in ids.items() for one in sorted(same)[:-MAX_PER_PAYLOAD]]
        suffixes = [suffix.encode() for suffix in ("", *companions)]
        removals = ((name + suffix, one) for name, one in going for suffix in suffixes)
        self._write(_batches(self._remove, removals, _ROWS_IN_A_BATCH))
        same = ((name, payload, one) for name, one in going)
        self._write(_batches(self._remove_same, same, _ROWS_IN_A_BATCH))

    def _entry_batches(self, keys: Sequence[str], activities: Sequence[Activity]) -> Iterator[BatchStatement]:
        ids = [activity.serialization_id.to_bytes(ID_BYTES, "big") for activity in activities]
        rows = ((name, activity_id) for name in [key.encode() for key in keys] for activity_id in ids)
        return _batches(self._add, rows, _ROWS_IN_A_BATCH)

    def _trim_due(self, keys: Sequence[str], added: int, max_length: int) -> None:
        untrimmed, most = self._untrimmed, min(self.fan_out_excess // 2, 2 * max_length)
        due = []
        for key in keys:
            known = untrimmed.get(key)
            if known is None or known + added >= most:
                due.append(key)
                # Random first counts spread the trims over the calls.
                untrimmed[key] = 0 if known is not None else crc32(key.encode()) % most
            else:
                untrimmed[key] = known + added
        if due:
            self._trim_all(due, max_length)

    def _trim_all(self, keys: Sequence[str], length: int) -> None:
        limit = (length + 1).to_bytes(4, "big")
        rows = []
        for key, found in self._read((self._newest, [key.encode(), limit]) for key in keys):
            if len(found) > length:
                rows.append((key, found[length - 1][0]))
        self._write(_batches(self._trim, rows, _ROWS_IN_A_BATCH))

    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        from_bytes = int.from_bytes
        rows = self._ask(self._newest, [key.encode(), limit.to_bytes(4, "big")])
        return references_to([from_bytes(row[0], "big") for row in rows])

    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        ids = [row[0] for row in self._ask(self._newest, [key.encode(), limit.to_bytes(4, "big")])]
        partitions: defaultdict[tuple[bytes, bytes], list[bytes]] = defaultdict(list)
        for one in ids:
            partitions[_partition(int.from_bytes(one, "big"))].append(one)
        asked = ((self._activities, [*partition, _blobs(some)]) for partition, some in partitions.items())
        data = {row[0]: row[1] for _, rows in self._read(asked) for row in rows}
        loads, from_bytes = self._serializer.loads, int.from_bytes
        return [loads(data[one], from_bytes(one, "big")) for one in ids if one in data]

    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        name, size = key.encode(), limit.to_bytes(4, "big")
        page = self._ask(self._newest, [name, size])
        references = references_to([int.from_bytes(row[0], "big") for row in page])
        while len(page) == limit:
            page = self._ask(self._older, [name, page[-1][0], size])
            references += references_to([int.from_bytes(row[0], "big") for row in page])
        return references

    def index_of(self, key: str, activity_id: int) -> int:
        index: int = self._ask(self._index, [key.encode(), activity_id.to_bytes(ID_BYTES, "big")])[0][0]
        return index

    def contains(self, key: str, activity_id: int) -> bool:
        return bool(self._ask(self._one, [key.encode(), activity_id.to_bytes(ID_BYTES, "big")]))

    def count(self, key: str) -> int:
        length: int = self._ask(self._count, [key.encode()])[0][0]
        return length

    def stored_bytes(self) -> int:
        return self._stored()

    def close(self) -> None:
        self._cluster.shutdown()

    def _ask(self, statement: PreparedStatement, values: list[bytes]) -> list[Any]:
        rows: list[Any] = self._session.execute_async(_bound(statement, values)).result().all()
        return rows

    def _read(self, asked: Iterable[tuple[PreparedStatement, list[bytes]]]) -> Iterator[tuple[bytes, list[Any]]]:
        under_way: deque[tuple[bytes, Any]] = deque()
        for statement, values in asked:
            if len(under_way) == _AT_ONCE:
                key, future = under_way.popleft()
                yield key, future.result().all()
            under_way.append((values[0], self._session.execute_async(_bound(statement, values))))
        for key, future in under_way:
            yield key, future.result().all()

    def _write(self, batches: Iterable[BatchStatement]) -> None:
        under_way: deque[Any] = deque()
        for batch in batches:
            if len(under_way) == _AT_ONCE:
                under_way.popleft().result()
            under_way.append(self._session.execute_async(batch))
        for future in under_way:
            future.result()


def _cluster(hosts: Sequence[str], port: int) -> Cluster:
    profile = ExecutionProfile(
        RoundRobinPolicy(),
        consistency_level=ConsistencyLevel.LOCAL_ONE,
        row_factory=tuple_factory,
        request_timeout=_SECONDS,
    )
    return Cluster(
        hosts,
        port,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        compression=False,
        protocol_version=5,
        sockopts=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )


def _bound(statement: PreparedStatement, values: list[bytes]) -> BoundStatement:
    bound = BoundStatement(statement)
    bound.values = values
    return bound


def _partition(activity_id: int) -> tuple[bytes, bytes]:
    return (activity_id >> _SLICE_SHIFT).to_bytes(4, "big"), (activity_id % _SHARDS).to_bytes(4, "big")


def _blobs(values: Sequence[bytes]) -> bytes:
    """Return a list in the protocol's form: its length, and each value after the value's own length."""
    return b"".join([len(values).to_bytes(4, "big"), *(len(value).to_bytes(4, "big") + value for value in values)])


def _parts(names: Sequence[bytes]) -> Iterator[bytes]:
    """Yield lists of keys, each for one request."""
    return (_blobs(names[first : first + _KEYS_A_REQUEST]) for first in range(0, len(names), _KEYS_A_REQUEST))


def _batches(statement: PreparedStatement, rows: Iterable[tuple[bytes, ...]], length: int) -> Iterator[BatchStatement]:
    queries = [(True, statement.query_id, row) for row in rows]
    for first in range(0, len(queries), length):
        batch = BatchStatement(BatchType.UNLOGGED)
        batch._statements_and_parameters = queries[first : first + length]
        yield batch
