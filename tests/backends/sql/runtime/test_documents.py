"""Documents in SQL: their plans, the ORM's classes, and damaged rows."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from backends.sql.runtime.faulty import Fault
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.address import parse_address
from feedstore.backends.sql.mapping import NamespaceRow, PubsubItem, PubsubNode, PubsubSubscription
from feedstore.errors import StoredDataError
from feedstore.storage.documents import (
    Condition,
    DocumentFilter,
    DocumentQuery,
    DocumentStorage,
    NewDocument,
    NodeKey,
    SubscriptionState,
    SyncState,
)

KEY = NodeKey("ann", "service", "node")
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
ROWS = 3000
PUT_TOGETHER = 250
CALLS: dict[str, tuple[str, DocumentQuery]] = {
    "full text": ("words", DocumentQuery(text="rare -absent")),
    "number": ("feedstore_path_number", DocumentQuery(conditions=[Condition("n", "==", 7)])),
    "range": ("feedstore_path_number", DocumentQuery(conditions=[Condition("n", "between", [7, 9])])),
    "text": ("feedstore_path_text", DocumentQuery(conditions=[Condition("t", "in", ["title 7", "title 8"])])),
}


@pytest.fixture
def documents(backend: SqlBackend) -> DocumentStorage:
    """The storage of documents, with one node."""
    documents = backend.document_storage()
    documents.add_node(KEY)
    return documents


def test_searches_and_pages_use_their_indexes(fault: Fault, database_kind: str, documents: DocumentStorage) -> None:
    rows = (
        NewDocument(f"{n}", b"", parsed={"n": n, "t": f"title {n}"}, text="rare" if n == 7 else f"word{n} common")
        for n in range(ROWS)
    )
    documents.put_items(KEY, rows)
    documents.ensure_path_index("n", "number")
    documents.ensure_path_index("t", "text")
    session: Any = documents.session
    session.store.write(lambda connection: connection.execute("ANALYZE"))
    calls: dict[str, Any] = {
        name: (index, lambda query=query: documents.search(query)) for name, (index, query) in CALLS.items()
    }
    calls["page"] = ("ix_feedstore_pubsub_item_created", lambda: documents.page(KEY, limit=20, after="1000"))
    calls["newest"] = ("ix_feedstore_pubsub_item_updated", lambda: documents.newest(KEY, 20))
    calls["ids"] = ("item_id", lambda: documents.get_items(KEY, ["1", "2"]))
    for name, (index, call) in calls.items():
        assert fault.count(call) <= 2, (name, fault.statements)
        statements = [call for call in fault.calls if "pubsub" in call[0]]
        plans = [plan_of(session, database_kind, *statement) for statement in statements]
        assert any(index in plan for plan in plans), (name, plans)
        for plan in plans if name in CALLS else ():
            assert "Seq Scan on feedstore_pubsub_item" not in plan, (name, plan)
            assert "SCAN i\n" not in plan, (name, plan)


def plan_of(session: Any, kind: str, text: str, parameters: Any) -> str:
    """The lines of the database's plan of a statement."""
    rows = session.store.fetch(f"EXPLAIN {'QUERY PLAN ' if kind == 'sqlite' else ''}{text}", parameters)
    return "".join(f"{row[-1]}\n" for row in rows)


def test_a_session_sees_and_writes_documents(
    documents: DocumentStorage, backend: SqlBackend, database_url: str
) -> None:
    """An application's own Session: the full-text index and the storage follow its writes."""
    documents.put_items(KEY, [NewDocument("i1", b"\xff", parsed={"é": [1]}, text="stored", created=NOW, updated=NOW)])
    engine = create_engine(parse_address(database_url).url)
    with Session(engine) as session:
        node = session.scalars(
            select(PubsubNode).join(PubsubNode.namespace).where(NamespaceRow.name == "default")
        ).one()
        (item,) = node.items
        assert (item.item_id, item.payload, item.parsed, item.created) == ("i1", b"\xff", {"é": [1]}, NOW)
        node.sync_state, node.sync_state_updated, node.extra = SyncState.COMPLETED, NOW, {"ü": None}
        node.items.append(
            PubsubItem(item_id="i2", payload=b"", parsed={"é": 2}, words="Straße <x>", created=NOW, updated=NOW)
        )
        node.subscriptions.append(PubsubSubscription(subscriber="bob", state=SubscriptionState.PENDING))
        item.words = "changed"
        session.commit()
        found = documents.get_node(KEY)
        assert found is not None
        assert (found.sync_state, found.sync_state_updated, found.extra) == (SyncState.COMPLETED, NOW, {"ü": None})
        assert [one.subscriber for one in documents.subscriptions(KEY)] == ["bob"]
        for query, expected in (
            (DocumentQuery(text="strasse"), ["i2"]),
            (DocumentQuery(text="changed"), ["i1"]),
            (DocumentQuery(text="stored"), []),
            (DocumentQuery(conditions=[Condition("é", "==", 2)]), ["i2"]),
        ):
            assert [one.document.item_id for one in documents.search(query)] == expected
        session.delete(node)
        session.commit()
    engine.dispose()
    assert documents.nodes() == []
    assert documents.search(DocumentQuery(text="changed")).results == ()
    documents.add_node(KEY)
    assert (documents.page(KEY, limit=1).count, documents.subscriptions(KEY)) == (0, [])


def test_a_session_joins_the_transactions_of_storages(documents: DocumentStorage, backend: SqlBackend) -> None:
    def add(session: Session) -> str:
        node = session.scalars(select(PubsubNode)).one()
        node.items.append(PubsubItem(item_id="orm", payload=b"1", created=NOW, updated=NOW))
        session.flush()
        documents.put_items(KEY, [NewDocument("storage", b"2")])
        return node.name

    def fail(session: Session) -> None:
        add(session)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backend.in_orm_session(fail)
    with suppress(ZeroDivisionError), backend.batch() as batch:
        documents.put_items(KEY, [NewDocument("batch", b"")], batch_interface=batch)
        backend.in_orm_session(fail, batch_interface=batch)
    assert documents.page(KEY, limit=1).count == 0
    with backend.batch() as batch:
        documents.put_items(KEY, [NewDocument("batch", b"")], batch_interface=batch)
        assert backend.in_orm_session(add, batch_interface=batch) is None
        documents.remove_items(KEY, ["batch"], batch_interface=batch)
    assert batch.results == [True, "node", 1]
    assert {document.item_id for document in documents.page(KEY, limit=9)} == {"orm", "storage"}
    assert backend.in_orm_session(lambda session: session.scalars(select(PubsubItem.payload)).all()) == [b"1", b"2"]


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_deletion_leaves_no_documents_without_a_node(
    fault: Fault, documents: DocumentStorage, other_backend: SqlBackend
) -> None:
    """D10: also if another process adds a node before any statement of the deletion."""
    others = other_backend.document_storage()

    def add() -> None:
        key = NodeKey("ann", "service", f"node {len(others.nodes())}")
        assert others.add_node(key)[1]
        others.put_items(key, [NewDocument("i1", b"")])

    with fault.at(range(100), add):
        deleted = documents.delete_nodes(DocumentFilter())
    kept = documents.nodes()
    assert deleted
    assert kept
    assert [result.key for result in documents.walk()] == [node.key for node in kept]
    session: Any = documents.session
    assert session.store.fetch("SELECT count(*) FROM feedstore_pubsub_item", ()) == [(len(kept),)]


def test_a_killed_process_leaves_whole_calls(documents: DocumentStorage) -> None:
    """D2: the documents and words of a call are all stored, or none, and those of a call that returned are stored."""
    chance, first = random.Random(20261129), 0
    for _ in range(2):
        stored = first + put_until_killed(documents, first, chance)
        found = {document.payload for document in documents.page(KEY, limit=PUT_TOGETHER)}
        assert documents.page(KEY, limit=0).count == PUT_TOGETHER
        assert found in ({b"%d" % stored}, {b"%d" % (stored + 1)})
        first = int(found.pop())
        for number, count in ((first - 1, 0), (first, PUT_TOGETHER), (first + 1, 0)):
            assert len(documents.search(DocumentQuery(text=f"step{number}", limit=1000))) == count
        assert documents.put_items(KEY, [NewDocument("0", b"%d" % first, text=f"step{first}")])


def put_until_killed(documents: DocumentStorage, first: int, chance: random.Random) -> int:
    """Kill a child process that stores documents again and again; return the number of calls that had returned."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            for number in range(first + 1, first + 1000):
                text = f"step{number}"
                documents.put_items(KEY, [NewDocument(str(n), b"%d" % number, text=text) for n in range(PUT_TOGETHER)])
                os.write(writer, b".")
        finally:
            os._exit(1)
    os.close(writer)
    count, steps = 0, chance.randint(2, 5)
    while count < steps:
        count += len(os.read(reader, 1))
    until = time.perf_counter() + chance.uniform(0, 0.02)
    while time.perf_counter() < until:
        pass
    os.kill(process, signal.SIGKILL)
    assert os.waitpid(process, 0)[1] == signal.SIGKILL
    while rest := os.read(reader, 1000):
        count += len(rest)
    os.close(reader)
    return count


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_damaged_rows_are_named(documents: DocumentStorage, backend: SqlBackend) -> None:
    """SQLite keeps a value of any type in any column."""
    documents.put_items(KEY, [NewDocument("i1", b"", parsed={})])
    store = backend.session.store
    for column, value in (("parsed", "[1]"), ("parsed", "{"), ("payload", "'x'"), ("created", "'x'")):
        literal = f"'{value}'" if column == "parsed" else value
        store.write(
            lambda connection, text: connection.execute(text), f"UPDATE feedstore_pubsub_item SET {column} = {literal}"
        )
        with pytest.raises(StoredDataError, match="'i1'"):
            _ = documents.get_items(KEY, ["i1"])[0].parsed
    store.write(lambda connection: connection.execute("UPDATE feedstore_pubsub_node SET sync_state = 'x'"))
    with pytest.raises(StoredDataError, match="'node'"):
        documents.nodes()
