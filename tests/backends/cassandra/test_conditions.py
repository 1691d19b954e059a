"""Conditional writes as lightweight transactions: their timestamps, and outcomes that are unknown."""

from __future__ import annotations

from typing import Any

import pytest
from cassandra import OperationTimedOut

from feedstore.backends.cassandra import CassandraBackend
from feedstore.errors import StorageTimeoutError
from feedstore.storage import Backend

pytestmark = pytest.mark.parametrize("backend_kind", ["cassandra"])


def test_an_insert_right_after_a_deletion_is_seen(backend: Backend) -> None:
    """K7: a transaction is dated in whole milliseconds, and must not count as older than the deletion before it."""
    items = backend.kv_storage()
    for number in range(50):
        assert items.insert("key", number) is True
        assert items.get("key") == number
        items.delete("key")


@pytest.fixture
def unanswered(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each of the next transactions, whose answers get lost, is carried out."""
    assert isinstance(backend, CassandraBackend)
    session = backend.session.store.session()
    send = session.send
    lost: list[bool] = []

    def lose(statement: Any) -> Any:
        if not lost or statement.is_idempotent:
            return send(statement)
        if lost.pop(0):
            send(statement).result()
        raise OperationTimedOut

    monkeypatch.setattr(session, "send", lose)
    return lost


def test_a_transaction_that_changed_nothing_is_sent_again(backend: Backend, unanswered: list[bool]) -> None:
    items = backend.kv_storage()
    unanswered += [False, False]
    assert items.insert("key", 1) is True
    unanswered += [False]
    assert items.replace("key", 1, 2) is True
    assert items.get("key") == 2
    assert not unanswered


def test_a_transaction_whose_outcome_is_unknown_is_not_sent_again(backend: Backend, unanswered: list[bool]) -> None:
    """K7: it may have won, and its repetition would lose against it."""
    items = backend.kv_storage()
    unanswered += [True]
    with pytest.raises(StorageTimeoutError, match="may have been applied"):
        items.insert("key", 1)
    assert items.get("key") == 1
    unanswered += [True]
    with pytest.raises(StorageTimeoutError, match="read the key"):
        items.replace("key", 1, 2)
    assert items.get("key") == 2
