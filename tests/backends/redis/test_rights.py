"""Users, passwords, and servers on which commands were renamed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pytest

from everything import use_everything, use_queue_and_notifier, use_storages
from feedstore import connect
from feedstore.backends.redis.node import Node
from feedstore.errors import StorageError, StorageUnavailableError
from feedstore.testing.delivery_suite import GroupSerializer, by
from servers.redis import OwnRedisServer
from stores import fresh_namespace

_PASSWORD = "p/@:?#s %&é"
_DOCUMENTED = ("+@read", "+@write", "+@scripting", "+@connection")
_FOR_QUEUES = ("&feedstore*", "+@pubsub", "+time")


@pytest.fixture(scope="module")
def server() -> Iterator[OwnRedisServer]:
    """A server on which users are made."""
    server = OwnRedisServer()
    yield server
    server.stop()


def url_of(server: OwnRedisServer, user: str, *rights: str, keys: str = "~feedstore*") -> str:
    """Make a user with rights and return the URL that it connects with."""
    client: Any = server.client()
    client.execute_command("ACL", "SETUSER", user, "reset", "on", f">{_PASSWORD}", keys, *rights)
    client.close()
    return server.url.replace("://", f"://{user}:{quote(_PASSWORD, safe='')}@")


def test_the_documented_rights_are_enough(server: OwnRedisServer) -> None:
    with connect(url_of(server, "all", *_DOCUMENTED), namespace=fresh_namespace(), idle_expiry=60) as backend:
        use_storages(backend)
        for storage in (backend.timeline_storage(), backend.activity_storage(), backend.kv_storage()):
            storage.flush()
        assert list(backend.timeline_storage().keys()) == []


def _transactions(url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Read columns three times, and return how often the backend has sent a transaction."""
    request, sent = Node.request, list[str]()

    def noted(node: Node, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        sent.extend(words[0] for words in commands)
        return request(node, commands)

    with connect(url, namespace=fresh_namespace()) as backend, monkeypatch.context() as patch:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        groups.add_many("k", by("ann", *range(5)))
        patch.setattr(Node, "request", noted)
        for _ in range(3):
            assert groups.get_columns("k", 9).payloads == [b"ann"] * 5
    return sent.count("MULTI")


def test_columns_are_read_without_transactions(server: OwnRedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first read learns that the right is missing, or that the server has renamed the command."""
    for extra, expected in ((("+@transaction",), 3), ((), 1)):
        assert _transactions(url_of(server, "all", *_DOCUMENTED, *extra), monkeypatch) == expected
    other = OwnRedisServer("--rename-command", "MULTI", "")
    try:
        assert _transactions(other.url, monkeypatch) == 1
    finally:
        other.stop()


def test_those_for_queues_are_enough_and_needed(server: OwnRedisServer) -> None:
    namespace = fresh_namespace()
    with connect(url_of(server, "all", *_DOCUMENTED, *_FOR_QUEUES), namespace=namespace) as backend:
        use_queue_and_notifier(backend)
    for missing in _FOR_QUEUES:
        rights = (right for right in _FOR_QUEUES if right != missing)
        with connect(url_of(server, "few", *_DOCUMENTED, *rights), namespace=namespace) as backend:
            with pytest.raises(StorageError):
                backend.queue("q").push("hello")
            assert backend.queue("q").count() == 0


def test_scripts_that_may_not_be_loaded_are_one_clear_error(server: OwnRedisServer) -> None:
    client: Any = server.client()
    client.script_flush()
    client.close()
    with (
        connect(url_of(server, "few", *_DOCUMENTED, "-script|load")) as backend,
        pytest.raises(StorageError, match="no permissions to run the 'script"),
    ):
        backend.timeline_storage().add("key", 1)


@pytest.mark.parametrize(
    ("rights", "keys", "reason"),
    [
        (("+@read", "+@write", "+@connection"), "~feedstore*", "no permissions to run the 'evalsha' command"),
        # The second form of a reason is that of newer servers.
        (("+@read", "+@scripting", "+@connection"), "~feedstore*", "can't run this command|to run the 'hset' command"),
        (_DOCUMENTED, "~other*", "no permissions to access one of the keys|No permissions to access a key"),
    ],
)
def test_a_right_that_is_missing_is_one_clear_error(
    server: OwnRedisServer, rights: tuple[str, ...], keys: str, reason: str
) -> None:
    with connect(url_of(server, "few", *rights, keys=keys)) as backend, pytest.raises(StorageError) as caught:
        backend.timeline_storage().add("key", 1)
    assert re.search(reason, str(caught.value))


def test_a_wrong_password_is_refused_at_once(server: OwnRedisServer) -> None:
    url = url_of(server, "known", *_DOCUMENTED).replace("%C3%A9", "wrong")
    # Tried again for an hour it would be if it counted as passing trouble.
    with connect(url, retry_seconds=3600) as backend, pytest.raises(StorageError, match="invalid username") as caught:
        backend.ping()
    assert not isinstance(caught.value, StorageUnavailableError)
    assert _PASSWORD[:3] not in f"{caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize(
    ("credentials", "database", "message"),
    [
        ("", "99", r"/99: DB index is out of range; the server's setting `databases`"),
        ("", "0", r"Authentication required\.; pass the credentials in the URL: redis://user:password@host"),
        (":wrong-secret@", "0", "invalid username-password pair.*pass the credentials in the URL"),
        ("ann:wrong-secret@", "0", "invalid username-password pair"),
    ],
)
def test_a_wrong_database_or_password_is_not_a_server_that_cannot_be_reached(
    server: OwnRedisServer, credentials: str, database: str, message: str
) -> None:
    client: Any = server.client()
    if database == "0":
        client.config_set("requirepass", "right")
    try:
        url = f"{server.url.replace('://', f'://{credentials}')}/{database}"
        with connect(url, retry_seconds=3600) as backend, pytest.raises(StorageError, match=message) as caught:
            backend.ping()
    finally:
        client.config_set("requirepass", "")
        client.close()
    assert not isinstance(caught.value, StorageUnavailableError)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("command", ["AUTH", "INFO"])
def test_a_command_that_was_renamed(command: str) -> None:
    server = OwnRedisServer("--rename-command", command, "")
    try:
        if command == "INFO":
            with connect(server.url) as backend:
                use_everything(backend)
            return
        url = server.url.replace("://", "://user:very-secret@")
        with connect(url) as backend, pytest.raises(StorageError, match="unknown command 'AUTH'") as caught:
            backend.ping()
        error: BaseException | None = caught.value
        while error is not None:
            assert "very-secret" not in f"{error} {error!r}"
            error = error.__cause__ or error.__context__
    finally:
        server.stop()
