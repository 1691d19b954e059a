"""The hooks of document storages, which a backend implements. Their arguments are checked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from feedstore.storage.base import Writer
from feedstore.storage.documents.query import DocumentFilter, DocumentQuery
from feedstore.storage.documents.values import (
    Document,
    DocumentNode,
    DocumentPage,
    FoundDocument,
    FoundPage,
    NodeFields,
    NodeKey,
    NodeSubscription,
    PathIndex,
    SubscriptionState,
    SyncState,
)
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction


class DocumentRow(NamedTuple):
    """A checked document: the parsed content is text in JSON, and ``words`` are the normalised words of its text."""

    item_id: str
    payload: bytes
    publisher: str | None
    parsed: str | None
    words: tuple[str, ...]
    created: datetime | None
    updated: datetime | None


class ParsedRow(NamedTuple):
    """The checked new content of a document that did not change since ``updated``."""

    item_id: str
    updated: datetime
    parsed: str | None
    words: tuple[str, ...]


class Claim(NamedTuple):
    """A checked claim of a node's synchronisation."""

    token: str
    states: frozenset[SyncState | None]
    stale_before: datetime | None
    reason: str | None
    keep_items: bool


class RsmPage(NamedTuple):
    """A checked request for a page: ``after`` or ``before`` an id, or at a ``position``, or the last page."""

    order_by: str
    limit: int
    after: str | None
    before: str | None
    position: int
    is_last: bool


class DocumentHooks(Writer):
    """The hooks of a document storage. A hook that writes receives a transaction and passes it on."""

    @abstractmethod
    def _add_node(
        self, key: NodeKey, fields: NodeFields, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[tuple[DocumentNode, bool]]:
        """Add a node unless it exists. Return the node, and whether it was added."""

    @abstractmethod
    def _get_node(self, key: NodeKey) -> DocumentNode | None:
        """Return a node."""

    @abstractmethod
    def _nodes(
        self, where: DocumentFilter, states: frozenset[SyncState | None] | None, after: NodeKey | None, limit: int
    ) -> list[DocumentNode]:
        """Return the nodes after a key in the order of account, service and name."""

    @abstractmethod
    def _update_node(
        self, key: NodeKey, expected: Mapping[str, Any], fields: NodeFields, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """Set fields if all ``expected`` fields have the given values. Return whether they were set."""

    @abstractmethod
    def _claim_sync(self, key: NodeKey, claim: Claim, transaction: Transaction = AUTOCOMMIT) -> Pending[bool]:
        """Begin a synchronisation if the node has one of the states, or an earlier claim is stale."""

    @abstractmethod
    def _finish_sync(
        self, key: NodeKey, token: str, fields: NodeFields, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """End the synchronisation of the token with new fields. After an error, remove the documents."""

    @abstractmethod
    def _delete_nodes(self, where: DocumentFilter, transaction: Transaction = AUTOCOMMIT) -> Pending[int]:
        """Delete nodes with their documents and subscriptions, and return the number of nodes."""

    @abstractmethod
    def _put_items(
        self,
        key: NodeKey,
        documents: Sequence[DocumentRow],
        token: str | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[bool]:
        """Store documents if the node exists and, with a token, has that token. Return whether they were stored."""

    @abstractmethod
    def _remove_items(
        self, key: NodeKey, item_ids: Sequence[str], token: str | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int]:
        """Remove documents, and return the number that existed. With another token nothing is removed."""

    @abstractmethod
    def _purge(self, where: DocumentFilter, transaction: Transaction = AUTOCOMMIT) -> Pending[int]:
        """Remove the documents of a filter, and return their number."""

    @abstractmethod
    def _set_parsed(
        self, key: NodeKey, documents: Sequence[ParsedRow], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int]:
        """Replace the content and words of documents that were not changed, and return their number."""

    @abstractmethod
    def _set_subscription(
        self,
        key: NodeKey,
        subscriber: str,
        state: SubscriptionState | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[bool]:
        """Set or, with None, remove a subscription. Return whether the node (or the removed subscription) existed."""

    @abstractmethod
    def _subscriptions(self, key: NodeKey) -> list[NodeSubscription]:
        """Return the subscriptions of a node in the order of their subscribers."""

    @abstractmethod
    def _page(self, key: NodeKey, request: RsmPage) -> DocumentPage:
        """Return a page. Raise :class:`DocumentNotFound` if the id of the request is unknown."""

    @abstractmethod
    def _newest(self, key: NodeKey, limit: int, order_by: str) -> list[Document]:
        """Return the last documents of an order in ascending order."""

    @abstractmethod
    def _get_items(self, key: NodeKey, item_ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents of distinct ids that exist."""

    @abstractmethod
    def _search(self, query: DocumentQuery) -> FoundPage:
        """Return a page of a search."""

    @abstractmethod
    def _walk(self, where: DocumentFilter) -> Iterator[FoundDocument]:
        """Yield the documents of a filter, in bounded memory, in the order in which they were first stored."""

    @abstractmethod
    def _ensure_path_index(self, index: PathIndex) -> bool:
        """Create an index unless it exists. Return whether it was created."""

    @abstractmethod
    def _drop_path_index(self, index: PathIndex) -> bool:
        """Drop an index, and return whether it existed."""

    @abstractmethod
    def _path_indexes(self) -> list[PathIndex]:
        """Return the indexes."""
