"""Damaged bytes anywhere in a namespace: each read names the key (T14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from feedstore import Activity
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.keys import marker_key
from feedstore.errors import StoredDataError
from feedstore.serializers import MsgpackSerializer
from stores import fresh_namespace

_LONG = b"x" * 20
_NOT_UTF8 = b"\xb8\xb9"


@pytest.fixture
def backend(redis_url: str) -> Iterator[RedisBackend]:
    """A namespace that holds a little of everything."""
    with RedisBackend(redis_url, namespace=fresh_namespace(), buckets=1) as backend:
        backend.timeline_storage().add_many("k", [1, 2, 3])
        backend.timeline_storage(serializer_class=MsgpackSerializer).add("p", Activity("a", "v", "o", id=5))
        backend.timeline_storage().trim("k", 2)
        backend.activity_storage().add(Activity("a", "v", "o", id=5))
        backend.kv_storage("s").upsert("a", 1)
        backend.queue("q").push("m")
        yield backend


# It says that the string has two ids.
_TRAILER_ALONE = bytes.fromhex("00000002 00000000 00000002 00") + b"pkd"


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """A client of the driver's own."""
    client = redis.Redis.from_url(redis_url, protocol=2)
    yield client
    client.close()


def _timeline(backend: RedisBackend, client: Any) -> None:
    client.append(backend.session.keys().timeline(0, "k"), _LONG)


def _payload_timeline(backend: RedisBackend, client: Any) -> None:
    client.append(backend.session.keys().timeline(0, "p"), _LONG)


def _lost_floor(backend: RedisBackend, client: Any) -> None:
    client.set(backend.session.keys().timeline(0, "k"), b"0" * 32)


def _lost_chunks(backend: RedisBackend, client: Any) -> None:
    backend.timeline_storage().add_many("k", range(5000))
    client.hset(backend.session.keys().payloads(0, "k"), "r", b"short")


def _field(backend: RedisBackend, client: Any) -> None:
    client.hset(backend.session.keys().directories[0], _NOT_UTF8, b"0")


def _field_behind_the_prefix(backend: RedisBackend, client: Any) -> None:
    field = backend.session.keys().timeline(0, "k").encode() + _NOT_UTF8
    client.hset(backend.session.keys().directories[0], field, b"0")
    client.set(field, b"0" * 16)


def _string(text: bytes) -> Callable[[RedisBackend, Any], None]:
    def damage(backend: RedisBackend, client: Any) -> None:
        client.set(backend.session.keys().timeline(0, "k"), text)

    return damage


def _cut(backend: RedisBackend, client: Any, key: str = "k") -> None:
    timeline = backend.session.keys().timeline(0, key)
    client.set(timeline, client.getrange(timeline, 16, -1))


def _cut_payload_timeline(backend: RedisBackend, client: Any) -> None:
    _deliver(backend, 6)
    _cut(backend, client, "p")


def _deliver(backend: RedisBackend, number: int) -> None:
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    payloads.add_to_many(["p"], [Activity("a", "v", "o", id=number)], max_length=5, slack=2)


def _activity(backend: RedisBackend, client: Any) -> None:
    client.hset(backend.session.keys().activities[0], _LONG, b"x")


def _index(backend: RedisBackend, client: Any) -> None:
    index, values = backend.session.keys().of_items(0, "s")
    client.zadd(index, {_NOT_UTF8: 0})
    client.hset(values, _NOT_UTF8, b"x")


def _lost_value(backend: RedisBackend, client: Any) -> None:
    client.zadd(backend.session.keys().of_items(0, "s")[0], {b"b": 0})


def _message(fields: dict[str, str]) -> Callable[[RedisBackend, Any], None]:
    def damage(backend: RedisBackend, client: Any) -> None:
        client.xadd(backend.session.keys().of_queue(0, "q")[0], fields)

    return damage


def _page_of(key: str) -> Callable[[RedisBackend], Any]:
    return lambda backend: backend.timeline_storage().get_page(key, 9)


def _payloads(backend: RedisBackend) -> Any:
    return backend.timeline_storage(serializer_class=MsgpackSerializer)


_READS: list[tuple[Callable[[RedisBackend, Any], None], Callable[[RedisBackend], Any], str]] = [
    (_timeline, lambda b: b.timeline_storage().get_slice("k", 0, None), "timeline 'k'"),
    (_timeline, lambda b: b.timeline_storage().get_many_slices(["k"], 0, 9), "timeline 'k'"),
    (_timeline, lambda b: b.timeline_storage().get_merged_page(["p", "k"], 9), "timeline 'k'"),
    (_timeline, _page_of("k"), "timeline 'k'"),
    (_timeline, lambda b: b.timeline_storage().get_slice("k", 0, 9, hydrate_from=b.activity_storage()), "timeline 'k'"),
    (
        _timeline,
        lambda b: b.timeline_storage().get_slice("k", 0, None, hydrate_from=b.activity_storage()),
        "timeline 'k'",
    ),
    (_payload_timeline, lambda b: _payloads(b).get_slice("p", 0, None), "timeline 'p'"),
    (_payload_timeline, lambda b: _payloads(b).get_page("p", 9), "timeline 'p'"),
    (_lost_floor, _page_of("k"), "timeline 'k'"),
    (_lost_floor, lambda b: b.timeline_storage().count("k"), "timeline 'k'"),
    (_timeline, lambda b: b.timeline_storage().contains_many("k", [1]), "timeline 'k'"),
    (_timeline, lambda b: b.timeline_storage().add("k", 9), "k' is damaged"),
    (_timeline, lambda b: b.timeline_storage().add_to_many(["k"], [9], max_length=9), "k' is damaged"),
    (_lost_chunks, lambda b: b.timeline_storage().get_slice("k", 4000, 4001), "timeline 'k'"),
    (_lost_chunks, lambda b: b.timeline_storage().get_slice("k", 0, 2048), "timeline 'k'"),
    (_lost_chunks, lambda b: b.timeline_storage().add("k", 9), "k' is damaged"),
    (_field, lambda b: list(b.timeline_storage().keys()), "the directory"),
    (_field_behind_the_prefix, lambda b: list(b.timeline_storage().keys()), "the directory"),
    (_string(b"short"), _page_of("k"), "timeline 'k'"),
    (_string(b"0" * 64), lambda b: b.timeline_storage().get_slice("k", 0, 1), "timeline 'k'"),
    (_string(_TRAILER_ALONE), lambda b: b.timeline_storage().get_many_slices(["k"], 0, 2), "timeline 'k'"),
    (_string(_TRAILER_ALONE), lambda b: b.timeline_storage().index_of("k", 2), "timeline 'k'"),
    (_string(b"0" * 64), lambda b: b.timeline_storage().add("k", 9), "k' is damaged"),
    (_string(_TRAILER_ALONE), lambda b: b.timeline_storage().add_to_many(["k"], [9], max_length=1), "k' is damaged"),
    (_string(b"short"), lambda b: b.timeline_storage().trim("k", 0), "k' is damaged"),
    (_cut, lambda b: b.timeline_storage().add("k", 9), "k' is damaged"),
    (_cut, lambda b: b.timeline_storage().add("k", 2), "k' is damaged"),
    (_cut, lambda b: b.timeline_storage().add_many("k", [8, 9]), "k' is damaged"),
    (_cut, lambda b: b.timeline_storage().add_many("k", [2, 9]), "k' is damaged"),
    (_cut, lambda b: b.timeline_storage().remove("k", 2), "k' is damaged"),
    (_cut, lambda b: b.timeline_storage().trim("k", 1), "k' is damaged"),
    (_cut_payload_timeline, lambda b: _deliver(b, 9), "p' is damaged"),
    (_activity, lambda b: list(b.activity_storage().iterate()), "}a"),
    (_index, lambda b: list(b.kv_storage("s").items()), "storage 's'"),
    (_lost_value, lambda b: list(b.kv_storage("s").fetch_all()), "has lost its value"),
    (_message({"t": "zz", "m": "zz"}), lambda b: [b.queue("q").receive() for _ in range(2)], "queue 'q'"),
    (_message({"other": "zz"}), lambda b: [b.queue("q").receive() for _ in range(2)], "queue 'q'"),
]


@pytest.mark.parametrize(("damage", "read", "named"), _READS)
def test_damage_is_named_and_never_absence(
    backend: RedisBackend,
    client: Any,
    damage: Callable[[RedisBackend, Any], None],
    read: Callable[[RedisBackend], Any],
    named: str,
) -> None:
    damage(backend, client)
    with pytest.raises(StoredDataError, match=named):
        read(backend)


@pytest.mark.parametrize(
    "damage", [_string(b"short"), _string(_TRAILER_ALONE), _field, _field_behind_the_prefix, _timeline]
)
def test_what_is_damaged_can_be_deleted(
    backend: RedisBackend, client: Any, damage: Callable[[RedisBackend, Any], None]
) -> None:
    damage(backend, client)
    timelines = backend.timeline_storage()
    timelines.delete("k")
    assert timelines.get_page("k", 9).complete
    timelines.flush()
    assert list(timelines.keys()) == []
    assert not client.exists(backend.session.keys().directories[0])


def test_a_marker_with_a_number_of_many_digits_is_named(redis_url: str, client: Any) -> None:
    namespace = fresh_namespace()
    client.hset(marker_key(namespace), mapping={"format": "1", "buckets": "9" * 5000})
    with (
        RedisBackend(redis_url, namespace=namespace) as backend,
        pytest.raises(StoredDataError, match="marker of the namespace"),
    ):
        backend.timeline_storage().count("k")
