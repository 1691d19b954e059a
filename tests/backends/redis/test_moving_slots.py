"""A Cluster whose slots move, key by key, while every kind of call uses them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot

import soak
from feedstore import Activity
from feedstore.backends.redis import RedisBackend
from feedstore.errors import FeedstoreError, StorageUnavailableError
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Batch
from servers.ports import LOOPBACK
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster
from stores import fresh_namespace

_KEYS = [f"key{number}" for number in range(12)]
_LIKE = Activity("ann", "like", "photo:7", id=9)


def _command(server: OwnRedisServer, *words: Any) -> Any:
    client: Any = server.client()
    try:
        return client.execute_command("CLUSTER", *words)
    finally:
        client.close()


class _Move:
    """The move of one slot from the primary that has it to another one."""

    def __init__(self, cluster: OwnRedisCluster, slot: int) -> None:
        self._cluster = cluster
        self._slot = slot
        primaries = cluster.primaries()
        names = {_command(server, "MYID").decode(): server for server in primaries}
        owner = next(node for node in _command(primaries[0], "SLOTS") if node[0] <= slot <= node[1])[2][2].decode()
        self._source = names[owner]
        self._target = next(server for server in primaries if server is not self._source)

    def begin(self) -> None:
        """Announce the move of the slot to both nodes; no key has moved yet."""
        source, target = (_command(server, "MYID").decode() for server in (self._source, self._target))
        _command(self._target, "SETSLOT", self._slot, "IMPORTING", source)
        _command(self._source, "SETSLOT", self._slot, "MIGRATING", target)

    def one_key(self) -> bool:
        """Move one key, and return whether there was one."""
        keys = _command(self._source, "GETKEYSINSLOT", self._slot, 1)
        if keys:
            client: Any = self._source.client()
            client.execute_command("MIGRATE", LOOPBACK, self._target.port, "", 0, 5000, "KEYS", *keys)
            client.close()
        return bool(keys)

    def end(self) -> None:
        """Move all other keys, and hand the slot over."""
        while self.one_key():
            pass
        name = _command(self._target, "MYID").decode()
        others = [server for server in self._cluster.primaries() if server is not self._target]
        for server in (self._target, *others):
            _command(server, "SETSLOT", self._slot, "NODE", name)


@pytest.fixture
def backend(shared_cluster: OwnRedisCluster) -> Iterator[RedisBackend]:
    """A namespace of one bucket, so that everything lies in one slot."""
    with RedisBackend(
        shared_cluster.url, namespace=fresh_namespace(), colocate=True, retry_seconds=40, timeout=20
    ) as backend:
        yield backend


def _move_of(cluster: OwnRedisCluster, backend: RedisBackend) -> _Move:
    return _Move(cluster, key_slot(backend.session.keys().tag(0).encode()))


def _fill(backend: RedisBackend) -> None:
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    backend.timeline_storage().add_to_many(_KEYS, [1, 2, 3], max_length=9)
    payloads.add("payloads", _LIKE)
    backend.activity_storage().add(_LIKE)
    backend.kv_storage().upsert("pi", 3.5)
    backend.queue("q").push("m")


def test_no_call_waits_for_a_slot_of_which_nothing_has_moved(shared_cluster: OwnRedisCluster) -> None:
    namespace = fresh_namespace()
    with RedisBackend(shared_cluster.url, namespace=namespace, colocate=True) as first:
        _fill(first)
        move = _move_of(shared_cluster, first)
    move.begin()
    try:
        # The move does not end: a refused call would fail, and not be late.
        with RedisBackend(shared_cluster.url, namespace=namespace, colocate=True, retry_seconds=0) as backend:
            timelines = backend.timeline_storage()
            assert timelines.add_many("key0", range(4, 2000)) == 1996
            assert timelines.add_to_many(_KEYS, [9000], max_length=9) == len(_KEYS)
            assert timelines.remove("key1", 9000) == 1
            assert timelines.trim("key2", 2) == 2
            assert timelines.get_page("key2", 9).floor == 3
            payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
            assert list(payloads.get_columns("payloads", 9).ids) == [9]
            assert backend.activity_storage().get(_LIKE) == _LIKE
            assert list(backend.kv_storage().items()) == [("pi", 3.5)]
            with backend.batch(atomic=True) as batch:
                timelines.add("key3", 9001, batch_interface=batch)
                timelines.add("key4", 9001, batch_interface=batch)
                timelines.add_to_many(["key3", "key5"], [9002], max_length=9, batch_interface=batch)
                timelines.trim("key3", 4, batch_interface=batch)
                backend.kv_storage().upsert("pi", 4, batch_interface=batch)
            assert batch.results == [1, 1, 2, 2, None]
    finally:
        move.end()


def test_every_call_waits_for_a_slot_that_has_moved_in_part(
    shared_cluster: OwnRedisCluster, backend: RedisBackend
) -> None:
    _fill(backend)
    move = _move_of(shared_cluster, backend)
    move.begin()
    for _ in range(6):
        assert move.one_key()
    ending = threading.Timer(0.3, move.end)
    ending.start()
    _use(backend)
    ending.join()
    assert [one.serialization_id for one in backend.timeline_storage().get_slice("key5", 0, 2)] == [12, 11]


def _use(backend: RedisBackend) -> None:
    timelines = backend.timeline_storage()
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    # The calls run in any order, so no two of them change one key in ways that would differ.
    many = [key for key in _KEYS if key not in ("key6", "key7")]
    calls: list[Any] = [
        lambda: timelines.add_to_many(many, [10], max_length=9) == len(many),
        lambda: timelines.add_many("key5", [11, 12]) == 2,
        lambda: timelines.add("new", 1) == 1,
        lambda: timelines.remove("key6", 3) == 1,
        lambda: timelines.trim("key7", 1) == 2,
        lambda: timelines.get_page("key8", 9).floor is None,
        lambda: payloads.get_slice("payloads", 0, 9) == [_LIKE],
        lambda: list(payloads.get_columns("payloads", 9).ids) == [9],
        lambda: timelines.get_slice("payloads", 0, 9, hydrate_from=backend.activity_storage()) == [_LIKE],
        lambda: list(backend.kv_storage().items()) == [("pi", 3.5)],
        lambda: backend.kv_storage().fetch_many(["pi", "absent"]) == {"pi": 3.5},
        lambda: backend.queue("q").receive()[1] == "m",
        lambda: backend.queue("q").count() == 1,
    ]
    failed: list[object] = []

    def use(call: Any) -> None:
        try:
            if not call():
                failed.append(call)
        except FeedstoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=use, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


def _replace_items(backend: RedisBackend, batch: Batch) -> None:
    backend.kv_storage().flush(batch_interface=batch)
    backend.kv_storage().upsert("e", 2.7, batch_interface=batch)


def _replace_item(backend: RedisBackend, batch: Batch) -> None:
    backend.kv_storage().delete("pi", batch_interface=batch)
    backend.kv_storage().upsert("e", 2.7, batch_interface=batch)


def _replace_activity(backend: RedisBackend, batch: Batch) -> None:
    backend.activity_storage().remove(_LIKE, batch_interface=batch)
    backend.activity_storage().add(Activity("zoe", "like", "photo:7", id=8), batch_interface=batch)


_REPLACEMENTS = [_replace_items, _replace_item, _replace_activity]


def _contents(backend: RedisBackend) -> list[Any]:
    return [list(backend.kv_storage().items()), list(backend.activity_storage().iterate())]


def test_an_atomic_batch_that_replaces_all_items_waits_for_a_slot_that_moves(
    shared_cluster: OwnRedisCluster, backend: RedisBackend
) -> None:
    """A node refuses a call on a key that the script has emptied, after the first writes of the script."""
    _fill(backend)
    before = _contents(backend)
    move = _move_of(shared_cluster, backend)
    move.begin()
    try:
        with RedisBackend(shared_cluster.url, namespace=backend.namespace, colocate=True, retry_seconds=0) as hasty:
            for replace in _REPLACEMENTS:
                with pytest.raises(StorageUnavailableError), hasty.batch(atomic=True) as batch:
                    replace(hasty, batch)
        assert _contents(backend) == before
    finally:
        move.end()
    for replace in _REPLACEMENTS:
        with backend.batch(atomic=True) as batch:
            replace(backend, batch)
    items, activities = _contents(backend)
    assert items == [("e", 2.7)]
    assert [one.serialization_id for one in activities] == [8]


def test_a_call_that_empties_a_key_does_not_wait_for_a_slot_that_moves(
    shared_cluster: OwnRedisCluster, backend: RedisBackend
) -> None:
    _fill(backend)
    receipt, _ = backend.queue("q").receive()
    options: dict[str, Any] = {"max_length": 2, "when_full": "drop_oldest"}
    backend.queue("short", **options).push_many([1, 2])
    assert backend.queue("short", **options).receive()[1] == 1
    move = _move_of(shared_cluster, backend)
    move.begin()
    try:
        with RedisBackend(shared_cluster.url, namespace=backend.namespace, colocate=True, retry_seconds=0) as hasty:
            timelines = hasty.timeline_storage()
            assert timelines.trim("key1", 0) == 3
            assert timelines.remove_many("key2", [1, 2, 3]) == 3
            assert hasty.timeline_storage(serializer_class=MsgpackSerializer).remove("payloads", _LIKE) == 1
            assert hasty.queue("q").ack(receipt)
            hasty.queue("short", **options).push_many([3, 4])
    finally:
        move.end()
    page = backend.timeline_storage().get_page("key1", 9)
    assert (list(page), page.floor) == ([], 4)
    assert backend.queue("q").count() == 0
    assert [message for _, message in backend.queue("short", **options).receive_many(9)] == [3, 4]


@pytest.mark.soak
def test_fan_outs_while_a_slot_moves_key_by_key(shared_cluster: OwnRedisCluster, backend: RedisBackend) -> None:
    _fill(backend)
    timelines = backend.timeline_storage()
    move = _move_of(shared_cluster, backend)
    move.begin()
    moving = threading.Thread(target=move.end)
    moving.start()
    number = 10
    while moving.is_alive() or number < 30:
        number += 1
        timelines.add_to_many(_KEYS, [number], max_length=1000)
        timelines.add_many("key0", [number])
    moving.join()
    expected = [*range(number, 10, -1), 3, 2, 1]
    for found in timelines.get_many_slices(_KEYS, 0, None).values():
        assert [reference.serialization_id for reference in found] == expected


def test_a_script_that_empties_and_fills_timelines_in_a_slot_that_begins_to_move(
    shared_cluster: OwnRedisCluster, backend: RedisBackend
) -> None:
    """The node refuses each call of a script that names a key that is not there any more."""
    timelines = backend.timeline_storage()
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    payloads.add("payloads", _LIKE)
    timelines.add_to_many(["emptied", "deleted", "floor"], [1, 2])
    for first in (0, 1500):
        timelines.add_many("long", range(first, first + 1500))
    move = _move_of(shared_cluster, backend)
    move.begin()
    try:
        with backend.batch(atomic=True) as batch:
            timelines.remove_many("emptied", [1, 2], batch_interface=batch)
            timelines.add("emptied", 3, batch_interface=batch)
            timelines.delete("deleted", batch_interface=batch)
            timelines.add("deleted", 3, batch_interface=batch)
            timelines.trim("floor", 0, batch_interface=batch)
            timelines.add("floor", 3, batch_interface=batch)
            payloads.remove("payloads", _LIKE, batch_interface=batch)
            payloads.add("payloads", _LIKE, batch_interface=batch)
            timelines.trim("long", 10, batch_interface=batch)
            timelines.add_many("long", range(3000, 5500), batch_interface=batch)
        assert batch.results == [2, 1, None, 1, 2, 1, 1, 1, 2990, 2500]
        assert [_ids(timelines, key) for key in ("emptied", "deleted", "floor")] == [[3]] * 3
        assert payloads.get_slice("payloads", 0, 9) == [_LIKE]
        assert _ids(timelines, "long") == list(range(5499, 2989, -1))
        timelines.delete("long")
        assert timelines.remove_many("payloads", [_LIKE.serialization_id]) == 1
    finally:
        move.end()
    assert sorted(timelines.keys()) == ["deleted", "emptied", "floor"]


def test_payloads_that_move_to_a_hash_wait_for_a_slot_that_moves(
    shared_cluster: OwnRedisCluster, backend: RedisBackend
) -> None:
    """The script deletes the list and makes the key again, which the node would refuse."""
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    activities = [Activity("ann", "like", f"photo:{number}", id=number + 1) for number in range(2500)]
    payloads.add_many("long", activities[:1500])
    move = _move_of(shared_cluster, backend)
    move.begin()
    try:
        hasty = RedisBackend(shared_cluster.url, namespace=backend.namespace, colocate=True, retry_seconds=0)
        with hasty, pytest.raises(StorageUnavailableError):
            hasty.timeline_storage(serializer_class=MsgpackSerializer).add_many("long", activities[1500:])
        assert payloads.get_slice("long", 0, None) == activities[1499::-1]
    finally:
        move.end()
    assert payloads.add_many("long", activities[1500:]) == 1000
    assert payloads.get_slice("long", 0, None) == activities[::-1]
    assert payloads.trim("long", 900) == 1600
    assert payloads.get_slice("long", 0, None) == activities[:1599:-1]


def _ids(timelines: Any, key: str) -> list[int]:
    return [reference.serialization_id for reference in timelines.get_slice(key, 0, None)]


class _Mover:
    """A slot that moves from node to node, key by key, until it is stopped."""

    def __init__(self, cluster: OwnRedisCluster, backend: RedisBackend) -> None:
        self._cluster, self._backend = cluster, backend
        self._is_stopped = threading.Event()
        self.moves = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_stopped.is_set():
            move = _move_of(self._cluster, self._backend)
            move.begin()
            move.end()
            self.moves += 1

    def stop(self) -> None:
        """End the move that is under way."""
        self._is_stopped.set()
        self._thread.join()


@pytest.mark.soak
def test_timelines_that_get_and_lose_chunks_while_their_slot_moves(
    shared_cluster: OwnRedisCluster, backend: RedisBackend
) -> None:
    """Each write happens wholly, on one node, and each read sees all writes before it."""
    chance = random.Random(12)
    timelines = backend.timeline_storage()
    keys = ["a", "b", "c"]
    models = {key: {0} for key in keys}
    timelines.add_to_many(keys, [0])
    mover = _Mover(shared_cluster, backend)
    try:
        step = 0
        while step < soak.count(30, 1000) or mover.moves < 2:
            key, kind = chance.choice(keys), chance.choice(["add", "add", "fan out", "remove", "trim", "delete"])
            ids = set(range(start := chance.randrange(6000), start + chance.choice([1, 30, 1500])))
            if kind == "add":
                timelines.add_many(key, ids)
                models[key] |= ids
            elif kind == "fan out":
                timelines.add_to_many(keys, ids, max_length=3000)
                models = {key: set(sorted(model | ids)[-3000:]) for key, model in models.items()}
            elif kind == "remove":
                timelines.remove_many(key, ids)
                models[key] -= ids
            elif kind == "trim":
                length = chance.choice([0, 5, 1500])
                timelines.trim(key, length)
                models[key] = set(sorted(models[key])[max(0, len(models[key]) - length) :])
            else:
                timelines.delete(key)
                models[key] = set()
            expected = sorted(models[key], reverse=True)
            assert timelines.count(key) == len(expected)
            assert _ids(timelines, key) == expected
            assert [one.serialization_id for one in timelines.get_slice(key, 2040, 2060)] == expected[2040:2060]
            step += 1
    finally:
        mover.stop()
    for key in keys:
        assert _ids(timelines, key) == sorted(models[key], reverse=True)
