"""Scripts and their keys: each declares every key that it touches, and no payloads that do not exist."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from everything import use_everything
from feedstore import Activity
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.scripts import SCRIPTS
from feedstore.serializers import MsgpackSerializer
from polling import poll_until
from servers.redis import OwnRedisServer

_END = b"end of the watch"
# MONITOR quotes each argument, and escapes the bytes that are not printable.
_ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(rb"\\(x[0-9a-f]{2}|.)")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"\\": b"\\", b'"': b'"'}
_MANY = [f"key{number}" for number in range(60)]
_NOTHING_TOUCHED = (b"publish", b"time")


@pytest.fixture
def server() -> Iterator[OwnRedisServer]:
    """A server that runs the commands of one test alone."""
    server = OwnRedisServer()
    yield server
    server.stop()


class _Command(NamedTuple):
    """A command as a server ran it, with the exact bytes of its arguments."""

    by_script: bool
    words: list[bytes]


class _Watch:
    """The commands that a server runs, as MONITOR shows them: each script with the commands that it runs."""

    def __init__(self, server: OwnRedisServer) -> None:
        self._client: Any = server.client()
        self._found: list[_Command] = []
        self._is_started, self._is_ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(server,), daemon=True)
        self._thread.start()
        assert self._is_started.wait(30)

    def _follow(self, server: OwnRedisServer) -> None:
        client: Any = server.client()
        with client.monitor() as monitor:
            self._is_started.set()
            while (command := _parsed(monitor.connection.read_response(disable_decoding=True))).words != [
                b"ECHO",
                _END,
            ]:
                self._found.append(command)
        client.close()
        self._is_ended.set()

    def commands(self) -> list[_Command]:
        """Return the commands that the server has run."""
        self._client.execute_command("ECHO", _END)
        poll_until(self._is_ended.is_set, 30, "the end of the watch")
        self._thread.join()
        return self._found

    def keys_of(self, command: list[bytes]) -> set[bytes]:
        """Return the keys of a command, by the server's own account."""
        return {each.encode() if isinstance(each, str) else each for each in self._client.command_getkeys(*command)}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _parsed(line: bytes) -> _Command:
    """Parse one line of MONITOR: the client of redis-py splits arguments wrongly that hold a space or a backslash."""
    head, _, arguments = line.partition(b"] ")
    return _Command(head.endswith(b" lua"), [_unescaped(each) for each in _ARGUMENT.findall(arguments)])


def _unescaped(argument: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1]) or bytes.fromhex(found[1][1:].decode()), argument)


def _use_the_rest(backend: RedisBackend) -> None:
    """Reach the branches of the scripts that ``use_everything`` leaves out."""
    timelines = backend.timeline_storage()
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    like = Activity("ann", "like", "photo:7", id=9)
    timelines.add_to_many(_MANY, [1, 2, 3], max_length=2)
    timelines.add_to_many(_MANY, [0, 2], max_length=2)
    payloads.add_to_many(_MANY[:9], [like], max_length=2)
    payloads.add("payloads", like)
    payloads.get_slice("payloads", 0, 9)
    payloads.get_page("payloads", 9)
    payloads.get_columns("payloads", 9)
    for number in (20, 30, 40):
        payloads.add_to_many(_MANY[:9], [Activity("ann", "like", id=number)], max_length=1, max_per_payload=2, slack=1)
    assert backend.activity_storage().get_many(range(20)) == []
    # These learn from the script that the timelines have payloads.
    timelines.add_to_many(_MANY, [10], max_length=2)
    timelines.remove(_MANY[1], 9)
    timelines.trim(_MANY[2], 1)
    timelines.delete(_MANY[3])
    with backend.batch(atomic=True) as batch:
        timelines.add(_MANY[4], 11, batch_interface=batch)
        timelines.flush(batch_interface=batch)
        timelines.add_to_many(_MANY[:5], [12], max_length=2, batch_interface=batch)
        backend.kv_storage().upsert("a", 1, batch_interface=batch)
        backend.kv_storage().delete("pi", batch_interface=batch)
        backend.activity_storage().remove(like, batch_interface=batch)
    with backend.batch() as batch:
        payloads.add_many(_MANY[0], [like], batch_interface=batch)
        timelines.trim(_MANY[0], 1, batch_interface=batch)
        timelines.flush(batch_interface=batch)
        timelines.add(_MANY[0], 1, batch_interface=batch)
    _use_limits(backend)
    queue = backend.queue("short", max_length=2, when_full="drop_oldest")
    queue.push_many([1, 2, 3])
    queue.receive()
    for storage in (backend.activity_storage(), backend.kv_storage(), timelines):
        storage.flush()
    queue.flush()


def _use_limits(backend: RedisBackend) -> None:
    """Deliver with companions and limits by payload, also in another collection, and write on conditions."""
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer, name="events")
    timelines, items = backend.timeline_storage(name="events"), backend.kv_storage("conditions")
    same = [Activity("ann", "like", "photo:7", id=number) for number in (9, 10)]
    payloads.add_to_many(_MANY[:9], same, max_length=1, companions=["+", "-"])
    payloads.add_to_many(_MANY[:9], same, max_per_payload=1, companions=["+"])
    timelines.add_to_each({key: [128 + number] for number, key in enumerate(_MANY)}, max_length=2)
    assert timelines.contains_many(_MANY[0], [0, 7, 10]) == {10}
    assert len(timelines.get_many_pages(_MANY[:3], 2)) == 3
    items.insert("a", 1)
    items.replace("a", 1, 2)
    with backend.batch(atomic=True) as batch:
        items.insert("b", 1, batch_interface=batch)
        batch.require(items, "a", 2)
        timelines.add_to_many(_MANY, [12], max_length=2, batch_interface=batch)
        timelines.flush(batch_interface=batch)
    assert list(items.keys(reverse=True)) == ["b", "a"]
    items.flush()


def test_no_script_touches_a_key_that_it_does_not_declare(server: OwnRedisServer) -> None:
    with RedisBackend(server.url, namespace="watched", buckets=4) as backend:
        use_everything(backend)
        watch = _Watch(server)
        backend.timeline_storage().flush()
        backend.activity_storage().flush()
        backend.kv_storage().flush()
        use_everything(backend)
        _use_the_rest(backend)
    declared: set[bytes] = set()
    ran: set[str] = set()
    inside = 0
    for by_script, words in watch.commands():
        if words[0].upper() == b"EVALSHA":
            ran.add(SCRIPTS[words[1].decode()].name)
            declared = set(words[3 : 3 + int(words[2])])
        elif by_script and words[0].lower() not in _NOTHING_TOUCHED:
            inside += 1
            assert watch.keys_of(words) <= declared, words
    watch.close()
    assert inside > 500
    assert ran == {script.name for script in SCRIPTS.values()} - {"namespace"}


def test_fan_outs_and_reads_of_references_declare_no_payloads(server: OwnRedisServer) -> None:
    with RedisBackend(server.url, namespace="watched", buckets=4) as backend:
        timelines = backend.timeline_storage()
        timelines.add("a", 1)
        watch = _Watch(server)
        timelines.add_to_many(["a", "b"], [9], max_length=3)
        timelines.get_slice("a", 0, 9)
        with backend.batch(atomic=True) as batch:
            timelines.add_to_many(["a", "b"], [7, 8], batch_interface=batch)
        timelines.flush()
    commands = watch.commands()
    watch.close()
    assert len(commands) > 5
    assert not any(b"}p:" in word for command in commands for word in command.words)


def test_the_watch_sees_arguments_as_they_were_sent(server: OwnRedisServer) -> None:
    """The tokens of a queue are random bytes, so one of them ends in a backslash now and then."""
    sent = [b"\\", b'a "b" c', b"\n\r\t\x00\xff", b"] [", b"\\x41", bytes(range(256))]
    watch, client = _Watch(server), server.client()
    for value in sent:
        client.set("key", value)
    client.close()
    assert [command.words for command in watch.commands() if command.words[0] == b"SET"] == [
        [b"SET", b"key", value] for value in sent
    ]
    watch.close()
