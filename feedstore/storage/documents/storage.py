"""The document storage's contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from feedstore.storage.batch import WriteBatch
from feedstore.storage.checks import checked_iterable
from feedstore.storage.documents.checks import (
    check_filter,
    check_item_id,
    check_new_document,
    check_node_key,
    check_parsed_document,
    check_path,
    check_path_kind,
    check_query,
    check_rsm,
    check_text,
)
from feedstore.storage.documents.nodes import NodeCalls
from feedstore.storage.documents.query import DocumentFilter, DocumentQuery
from feedstore.storage.documents.values import (
    Document,
    DocumentPage,
    FoundDocument,
    FoundPage,
    NewDocument,
    NodeKey,
    ParsedDocument,
    PathIndex,
    PathKind,
)
from feedstore.storage.session import checked_session


class DocumentStorage(NodeCalls):
    """A storage of documents in nodes, such as cached pubsub items. Made by :meth:`Backend.document_storage`.

    Only a backend with the ability ``documents`` has one. The rules D1 to D13 of the contracts describe it. Safe to
    share between threads. Outside a batch, each call that writes is one transaction.

    >>> from feedstore.storage.documents import NewDocument, NodeKey
    >>> NodeKey("ann@example.org", "pubsub.example.org", "urn:xmpp:microblog:0").account
    'ann@example.org'
    """

    def __init__(self, *, backend: Any) -> None:
        self.session = checked_session(backend)

    def put_items(
        self,
        key: NodeKey,
        documents: Iterable[NewDocument],
        *,
        sync_token: str | None = None,
        batch_interface: WriteBatch | None = None,
    ) -> bool | None:
        """Store documents in a node, and return whether they were stored; None inside a batch (D2, D3).

        A document of an existing id keeps its creation and its place in the order of creation; all else is replaced. If
        the call holds an id twice, the last document wins. A bounded number of round trips for each 500 documents.

        Args:
            key: The key. If there is no such node, nothing is stored.
            documents: The documents, in the order of their creation.
            sync_token: The token of the synchronisation that stores them. If it is no longer valid, nothing is stored.
            batch_interface: The batch to join.
        """
        rows = {one.item_id: one for one in map(check_new_document, checked_iterable(documents))}
        token = None if sync_token is None else check_text(sync_token, "sync_token")
        return self._write(batch_interface, self._put_items, check_node_key(key), list(rows.values()), token)

    def remove_items(
        self,
        key: NodeKey,
        item_ids: Iterable[str],
        *,
        sync_token: str | None = None,
        batch_interface: WriteBatch | None = None,
    ) -> int | None:
        """Remove documents, and return the number that existed; None inside a batch. Unknown ids are no error.

        With a ``sync_token`` that is no longer valid, nothing is removed.
        """
        ids = list(dict.fromkeys(map(check_item_id, checked_iterable(item_ids))))
        token = None if sync_token is None else check_text(sync_token, "sync_token")
        return self._write(batch_interface, self._remove_items, check_node_key(key), ids, token)

    def purge_node(self, key: NodeKey, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Remove all documents of a node and keep the node with its state; see :meth:`purge`."""
        account, service, name = check_node_key(key)
        return self.purge(DocumentFilter([account], [service], [name]), batch_interface=batch_interface)

    def purge(self, where: DocumentFilter, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Remove the documents of a filter, and return their number; None inside a batch (D10).

        Nodes and their states stay. A filter without fields removes all documents of the namespace. The cost is
        proportional to the number of removed documents, if the filter has no times.
        """
        return self._write(batch_interface, self._purge, check_filter(where))

    def set_parsed(
        self, key: NodeKey, documents: Iterable[ParsedDocument], *, batch_interface: WriteBatch | None = None
    ) -> int | None:
        """Replace the parsed content and the words of documents, and return how many were changed; None in a batch.

        A document that was changed or removed since ``updated`` is left as it is. Orders and times stay.
        """
        rows = [check_parsed_document(one) for one in checked_iterable(documents)]
        return self._write(batch_interface, self._set_parsed, check_node_key(key), rows)

    def page(
        self,
        key: NodeKey,
        *,
        order_by: str = "creation",
        limit: int,
        after: str | None = None,
        before: str | None = None,
        index: int | None = None,
    ) -> DocumentPage:
        """Return a page of a node as XEP-0059 describes it (D4). Two round trips at most.

        A node that does not exist is empty. A limit of 0 returns only the count.

        Args:
            key: The key.
            order_by: ``creation``, ``modification`` or ``item_id``.
            limit: The greatest number of documents, 0 to 10,000.
            after: The id after which the page begins.
            before: The id before which the page ends. ``""`` is the last page.
            index: The position of the first document of the page. At most one of the three is passed.

        Raises:
            DocumentNotFound: The node has no document with the id ``after`` or ``before``.
        """
        return self._page(check_node_key(key), check_rsm(order_by, limit, after, before, index))

    def newest(self, key: NodeKey, limit: int, *, order_by: str = "modification") -> list[Document]:
        """Return the last ``limit`` documents of an order, 0 to 10,000; the newest is the last one. One round trip."""
        request = check_rsm(order_by, limit, None, "", None)
        return self._newest(check_node_key(key), request.limit, request.order_by) if request.limit else []

    def get_items(self, key: NodeKey, item_ids: Iterable[str]) -> list[Document]:
        """Return the documents of ids, in the order of the ids and without unknown ids. One round trip for 500 ids."""
        ids = [check_item_id(one) for one in checked_iterable(item_ids)]
        found: Mapping[str, Document] = self._get_items(check_node_key(key), list(dict.fromkeys(ids))) if ids else {}
        return [found[one] for one in ids if one in found]

    def search(self, query: DocumentQuery) -> FoundPage:
        """Return a page of the documents that a query describes (D7 to D9). Two round trips for each 500 documents.

        Raises:
            InvalidValueError: The query has a bad syntax, operator, path, order or value.
            InvalidCursorError: The cursor was altered, or belongs to a query with other orders.
        """
        return self._search(check_query(query))

    def walk(self, where: DocumentFilter | None = None) -> Iterator[FoundDocument]:
        """Yield the documents of a filter in the order in which they were first stored, in bounded memory.

        A document that is stored or removed during the walk is yielded or not. One round trip for 500 documents.
        """
        return self._walk(check_filter(where))

    def ensure_path_index(self, path: str | Sequence[str | int], kind: PathKind | str) -> bool:
        """Create an index on the numbers or strs at a path of parsed documents; return whether it was created (D12).

        The index serves the conditions ``eq``, ``in``, ``between``, ``lt``, ``le``, ``gt`` and ``ge`` on that path, in
        all namespaces of the database. It changes no result. Writers wait while it is created, for a time in proportion
        to the number of all documents.
        """
        return self._ensure_path_index(PathIndex(check_path(path), check_path_kind(kind)))

    def drop_path_index(self, path: str | Sequence[str | int], kind: PathKind | str) -> bool:
        """Drop an index, and return whether it existed."""
        return self._drop_path_index(PathIndex(check_path(path), check_path_kind(kind)))

    def path_indexes(self) -> list[PathIndex]:
        """Return the indexes on paths of the database."""
        return self._path_indexes()
