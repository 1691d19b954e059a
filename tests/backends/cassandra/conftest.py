"""Fixtures of the tests of Cassandra: the statements that a backend sends."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.backends.cassandra import CassandraBackend
from feedstore.storage import Backend


@pytest.fixture
def sent(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The statements that the backend sends."""
    assert isinstance(backend, CassandraBackend)
    session = backend.session.store.session()
    send = session.send
    sent: list[Any] = []

    def keep(statement: Any) -> Any:
        sent.append(statement)
        return send(statement)

    monkeypatch.setattr(session, "send", keep)
    return sent
