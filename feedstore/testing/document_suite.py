"""The contract of document storages, for backends with the ability ``documents``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from feedstore.errors import DocumentNotFound, UnsupportedError
from feedstore.storage import Backend
from feedstore.storage.documents import (
    Document,
    DocumentFilter,
    DocumentNode,
    DocumentPage,
    DocumentQuery,
    DocumentStorage,
    NewDocument,
    NodeKey,
    NodeSubscription,
    SubscriptionState,
    SyncState,
)
from feedstore.testing.processes import Child, run_in_threads
from feedstore.testing.suite import OpenBackend, Suite

KEY = NodeKey("ann@example.org", "pubsub.example.org", "urn:xmpp:microblog:0")
OTHER = NodeKey("bob@example.org", *KEY[1:])
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
SEVEN = [f"i{number}" for number in range(1, 8)]


def ids(found: Iterable[Document]) -> list[str]:
    """Return the ids of documents."""
    return [document.item_id for document in found]


def numbers(page: DocumentPage) -> tuple[list[str], int | None, int, bool]:
    """Return all that a page says."""
    return ids(page), page.first_index, page.count, page.complete


class DocumentFixtures(Suite):
    """The storage of a test, and the ids that a query finds."""

    @pytest.fixture
    def documents(self, backend: Backend) -> DocumentStorage:
        """The document storage, with one node."""
        documents = backend.document_storage()
        documents.add_node(KEY, type="blog")
        return documents

    @staticmethod
    def found(documents: DocumentStorage, query: DocumentQuery) -> list[str]:
        """Return the ids that a query finds, read in pages of two."""
        pages, query = [], replace(query, limit=2)
        while True:
            page = documents.search(query)
            pages += [result.document.item_id for result in page]
            if page.next_cursor is None:
                return pages
            query = replace(query, cursor=page.next_cursor, index=0)


class DocumentSuite(DocumentFixtures):
    """Nodes, documents, pages, synchronisations, removals, batches."""

    @pytest.fixture
    def seven(self, documents: DocumentStorage) -> DocumentStorage:
        """The document storage, with a node of seven documents."""
        documents.put_items(KEY, [NewDocument(item_id, item_id.encode()) for item_id in SEVEN])
        return documents

    def test_accounts_and_namespaces_are_apart(self, documents: DocumentStorage, open_backend: OpenBackend) -> None:
        """D1: the same node of two accounts has two rows, in each namespace."""
        assert documents.add_node(OTHER, extra={"é": [1]}) == (DocumentNode(OTHER, extra={"é": [1]}), True)
        assert documents.add_node(KEY) == (DocumentNode(KEY, type="blog"), False)
        elsewhere = open_backend().document_storage()
        assert elsewhere.nodes() == []
        for storage, key in ((documents, KEY), (documents, OTHER)):
            storage.put_items(key, [NewDocument("same", key.account.encode(), text="word")])
        assert [one.payload for one in documents.get_items(OTHER, ["same"])] == [OTHER.account.encode()]
        query = DocumentQuery(accounts=[OTHER.account], text="word")
        assert [result.key for result in documents.search(query)] == [OTHER]
        assert documents.search(DocumentQuery(accounts=[])).results == ()
        assert elsewhere.search(DocumentQuery()).results == ()
        assert [node.key for node in documents.nodes()] == [KEY, OTHER]
        assert [node.key for node in documents.nodes(after=KEY, limit=1)] == [OTHER]
        assert [node.key for node in documents.nodes(DocumentFilter(types=[None]), states=[None])] == [OTHER]
        elsewhere.flush()
        assert ids(documents.page(KEY, limit=5)) == ["same"]

    def test_concurrent_calls_make_one_node(self, backend: Backend) -> None:
        """D1: one call adds it, and all return it."""
        documents = backend.document_storage()
        added = run_in_threads([lambda: documents.add_node(KEY)] * 4)
        assert sorted(created for _, created in added) == [False, False, False, True]
        assert len(documents.nodes()) == 1

    def test_documents_come_back_byte_for_byte(self, documents: DocumentStorage) -> None:
        """D2: an upsert keeps the creation, and replaces all else."""
        raw, parsed = bytes(range(256)) * 10, {"é'\"": [1, 2.5, 1e300, -(2**63), 1e20, None, {"": "ß"}]}
        publisher = "é" * (32 << 10)
        first = NewDocument("é'%\"", raw, publisher, parsed, "words", START, START)
        assert documents.put_items(KEY, [NewDocument(first.item_id, b"lost"), first]) is True
        (stored,) = documents.get_items(KEY, ["unknown", first.item_id])
        assert stored == Document(first.item_id, raw, publisher, stored.parsed_json, START, START)
        assert stored.parsed == parsed
        later = START + timedelta(days=1)
        assert documents.put_items(KEY, [NewDocument(first.item_id, b"", created=later, updated=later)]) is True
        assert documents.get_items(KEY, [first.item_id]) == [Document(first.item_id, b"", None, None, START, later)]
        assert documents.search(DocumentQuery(text="words")).results == ()
        assert documents.put_items(OTHER, [first]) is False
        assert documents.put_items(KEY, []) is True

    def test_large_documents_are_kept(self, documents: DocumentStorage) -> None:
        """D2: 10 MiB of payload and of text, and 99 levels of JSON."""
        size = 10 << 20
        deep: Any = {}
        for _ in range(98):
            deep = {"d": deep}
        text = "first " + "word " * (size // 5)
        documents.put_items(KEY, [NewDocument("large", b"\xff" * size, parsed=deep, text=text)] * 2)
        (stored,) = documents.get_items(KEY, ["large"])
        assert (stored.payload, stored.parsed) == (b"\xff" * size, deep)
        assert self.found(documents, DocumentQuery(text='"first word word"')) == ["large"]

    def test_orders_of_creation_and_modification(self, seven: DocumentStorage) -> None:
        """D3: a change moves a document in the order of modification alone; a time in the future moves no other."""
        seven.put_items(KEY, [NewDocument("i2", b"new")])
        assert ids(seven.page(KEY, limit=9)) == SEVEN
        assert ids(seven.page(KEY, order_by="modification", limit=9)) == ["i1", *SEVEN[2:], "i2"]
        assert ids(seven.newest(KEY, 3)) == ["i6", "i7", "i2"]
        assert ids(seven.newest(KEY, 2, order_by="creation")) == ["i6", "i7"]
        far, soon = START.replace(year=9000), datetime.now(timezone.utc) + timedelta(hours=2)
        seven.put_items(KEY, [NewDocument("far", b"", created=far, updated=far)])
        seven.put_items(KEY, [NewDocument("soon", b"", created=soon, updated=soon)])
        seven.put_items(KEY, [NewDocument("next", b"")])
        assert ids(seven.newest(KEY, 3)) == ["soon", "next", "far"]
        assert seven.get_items(KEY, ["next"])[0].created > soon

    @pytest.mark.parametrize("order_by", ["creation", "modification", "item_id"])
    def test_pages_are_those_of_xep_0059(self, seven: DocumentStorage, order_by: str) -> None:
        """D4: after, before, index, the last page, and the count alone."""
        pages: Sequence[tuple[dict[str, Any], tuple[list[str], int | None, int, bool]]] = [
            ({"limit": 3}, (SEVEN[:3], 0, 7, False)),
            ({"limit": 3, "after": "i3"}, (SEVEN[3:6], 3, 7, False)),
            ({"limit": 3, "after": "i4"}, (SEVEN[4:], 4, 7, True)),
            ({"limit": 3, "after": "i7"}, ([], None, 7, True)),
            ({"limit": 3, "before": "i3"}, (SEVEN[:2], 0, 7, False)),
            ({"limit": 3, "before": "i7"}, (SEVEN[3:6], 3, 7, False)),
            ({"limit": 3, "before": ""}, (SEVEN[4:], 4, 7, True)),
            ({"limit": 2, "index": 5}, (SEVEN[5:], 5, 7, True)),
            ({"limit": 2, "index": 9}, ([], None, 7, True)),
            ({"limit": 2, "index": 2**63}, ([], None, 7, True)),
            ({"limit": 0}, ([], None, 7, False)),
            ({"limit": 10}, (SEVEN, 0, 7, True)),
        ]
        for request, expected in pages:
            assert numbers(seven.page(KEY, order_by=order_by, **request)) == expected, request
        with pytest.raises(DocumentNotFound, match="'i9'"):
            seven.page(KEY, order_by=order_by, limit=1, after="i9")
        with pytest.raises(DocumentNotFound, match="'i9'"):
            seven.page(KEY, order_by=order_by, limit=1, before="i9")
        assert numbers(seven.page(OTHER, order_by=order_by, limit=1)) == ([], None, 0, True)

    def test_one_of_two_claims_begins_a_synchronisation(
        self, seven: DocumentStorage, open_backend: OpenBackend
    ) -> None:
        """D5: in two processes and in threads; the documents of an unfinished synchronisation are removed."""
        url_namespace = seven.session.namespace
        backend = open_backend(url_namespace)

        def claim() -> list[bool]:
            return [backend.document_storage().claim_sync(KEY, "child")]

        child = Child(claim)
        claims = run_in_threads([lambda: seven.claim_sync(KEY, "parent")] * 3)
        won = [*claims, *child.result()]
        assert sorted(won) == [False, False, False, True]
        node = seven.get_node(KEY)
        assert node is not None
        assert (node.sync_state, node.sync_token) == (SyncState.IN_PROGRESS, "child" if won[-1] else "parent")
        assert seven.page(KEY, limit=1).count == 0

    def test_a_token_that_is_no_longer_valid_writes_nothing(self, seven: DocumentStorage) -> None:
        """D5: a stale synchronisation is taken over, and an error removes the documents."""
        assert seven.claim_sync(KEY, "first", reason="é" * (32 << 10), keep_items=True) is True
        assert seven.page(KEY, limit=1).count == 7
        assert seven.claim_sync(KEY, "second", stale_before=START) is False
        assert seven.renew_sync(KEY, "first") is True
        assert seven.claim_sync(KEY, "second", stale_before=datetime.now(timezone.utc) + timedelta(1)) is True
        new = [NewDocument("new", b"")]
        assert seven.put_items(KEY, new, sync_token="first") is False
        assert seven.remove_items(KEY, ["i1"], sync_token="first") == 0
        assert seven.finish_sync(KEY, "first", SyncState.COMPLETED) is False
        assert seven.put_items(KEY, new, sync_token="second") is True
        assert seven.finish_sync(KEY, "second", SyncState.ERROR, sync_reason="gone", subscribed=True) is True
        node = seven.get_node(KEY)
        assert node is not None
        assert (node.sync_state, node.sync_reason, node.sync_token, node.subscribed) == ("error", "gone", None, True)
        assert seven.page(KEY, limit=1).count == 0
        assert seven.claim_sync(KEY, "third") is False
        assert seven.claim_sync(KEY, "third", states=[SyncState.ERROR]) is True
        assert seven.finish_sync(KEY, "third", SyncState.COMPLETED) is True
        assert seven.update_node(KEY, state_is=[None], subtype="x") is False
        assert seven.update_node(KEY, state_is=[SyncState.COMPLETED], subtype="x", extra={"a": 1}) is True
        assert seven.update_node(OTHER, subtype="x") is False
        assert [one.extra for one in seven.nodes(DocumentFilter(subtypes=["x"]))] == [{"a": 1}]
        assert seven.claim_sync(OTHER, "fourth") is False

    def test_removals(self, seven: DocumentStorage) -> None:
        """D10: a purge keeps nodes, a deletion and a reset remove them with their subscriptions."""
        seven.add_node(OTHER, type="events")
        seven.put_items(OTHER, [NewDocument("old", b"", created=START, updated=START), NewDocument("new", b"")])
        assert seven.purge(DocumentFilter(created_before=START)) == 0
        assert seven.purge(DocumentFilter(types=[None])) == 0
        assert seven.purge(DocumentFilter(updated_before=START + timedelta(1))) == 1
        assert seven.purge(DocumentFilter(accounts=[KEY.account], nodes=[KEY.name], types=["blog", None])) == 7
        assert [result.document.item_id for result in seven.walk()] == ["new"]
        assert seven.set_subscription(OTHER, "eve", SubscriptionState.PENDING) is True
        assert seven.set_subscription(OTHER, "bob") is True
        assert seven.subscriptions(OTHER) == [
            NodeSubscription("bob"),
            NodeSubscription("eve", SubscriptionState.PENDING),
        ]
        assert [seven.remove_subscription(OTHER, "bob") for _ in range(2)] == [True, False]
        assert [seven.delete_node(OTHER) for _ in range(2)] == [True, False]
        assert seven.set_subscription(OTHER, "bob") is False
        assert (seven.subscriptions(OTHER), seven.add_node(OTHER)[1], seven.page(OTHER, limit=1).count) == ([], True, 0)
        assert seven.reset([KEY.account]) == 1
        assert [node.key for node in seven.nodes()] == [OTHER]
        seven.flush()
        assert seven.nodes() == []

    def test_writes_join_batches(self, seven: DocumentStorage, backend: Backend) -> None:
        """D13: all of them are stored, or none."""
        with suppress(ZeroDivisionError), backend.batch(atomic=True) as batch:
            batch.documents.purge_node(KEY)
            raise ZeroDivisionError
        with backend.batch(atomic=True) as batch:
            assert batch.documents.put_items(KEY, [NewDocument("i8", b"")]) is None
            seven.remove_items(KEY, ["i1"], batch_interface=batch)
            batch.kv().upsert("key", "value")
            assert seven.page(KEY, limit=1).count == 7
        assert batch.results == [True, 1, None]
        assert ids(seven.page(KEY, limit=9)) == [*SEVEN[1:], "i8"]


class DocumentAbilitySuite(Suite):
    """The ability itself, for every backend."""

    def test_without_the_ability_the_storage_is_refused_by_name(self, backend: Backend) -> None:
        """D11: with an error that names the backend."""
        if backend.abilities.documents:
            assert backend.document_storage().nodes() == []
            return
        with pytest.raises(UnsupportedError, match=f"{type(backend).__name__} has no document storage"):
            backend.document_storage()
