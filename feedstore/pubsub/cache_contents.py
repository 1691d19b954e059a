"""The contents of a pubsub cache: search, removal, and parsing again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from typing import Any, TypeVar

from feedstore.errors import InvalidValueError
from feedstore.pubsub.cached_items import CachedItems, ItemClock, service_item, without_faults
from feedstore.shown import shown
from feedstore.storage.documents import (
    DocumentFilter,
    DocumentNode,
    DocumentQuery,
    DocumentStorage,
    FoundDocument,
    FoundPage,
    NodeKey,
    ParsedDocument,
)

_REPARSED_TOGETHER = 100
_Filter = TypeVar("_Filter", bound=DocumentFilter)


@dataclass
class ReparseReport:
    """The result of :meth:`PubsubCache.reparse`.

    Attributes:
        parsed: the number of items that have parsed content now.
        unparsed: the number of items without, because their analyser is not registered or has no parser.
        failed: the reasons for which the parser did not parse an item, by node and id of the item.
    """

    parsed: int = 0
    unparsed: int = 0
    failed: dict[tuple[NodeKey, str], str] = field(default_factory=dict)


class CacheContents:
    """The part of a :class:`PubsubCache` that searches, removes and parses the items of its account."""

    account: str
    documents: DocumentStorage
    _items: CachedItems

    def search(self, query: DocumentQuery) -> FoundPage:
        """Return a page of the cached items of this account that a query describes. One round trip.

        Nodes that are being synchronised are searched too. Each result has the key of its node; :func:`result_fields`
        returns it as one dict.

        Raises:
            InvalidValueError: The query names another account, or has a bad syntax, operator, path, order or value.
        """
        return self.documents.search(self._own(query))

    def cached_nodes(self, where: DocumentFilter | None = None, limit: int = 1000) -> list[DocumentNode]:
        """Return up to ``limit`` nodes of this account that the cache knows, by service and name. One round trip."""
        return self.documents.nodes(self._own(where or DocumentFilter()), limit=limit)

    def purge(self, where: DocumentFilter | None = None) -> int:
        """Remove the cached items of a filter, by default all of this account, and return their number.

        Nodes keep their state. So a synchronised node answers without the removed items, until it is synchronised
        again: the cache is the source of truth.
        """
        return self.documents.purge(self._own(where or DocumentFilter())) or 0

    def reset(self) -> int:
        """Remove all cached nodes of this account with their items, and return the number of nodes.

        Each node is analysed again at its next request.
        """
        return self.documents.reset([self.account]) or 0

    def reparse(self, where: DocumentFilter | None = None) -> ReparseReport:
        """Parse the cached items of a filter again, by the parsers that are registered now.

        Creation, modification and order of the items stay. The items of 100 are in memory. An item that is published
        during the call keeps the content of its publication.
        """
        report, nodes = ReparseReport(), dict[NodeKey, DocumentNode | None]()
        for key, found in self._chunks(where):
            if key not in nodes:
                nodes[key] = self.documents.get_node(key)
            node = nodes[key]
            if node is not None:
                self._reparse(node, found, report)
        return report

    def _chunks(self, where: DocumentFilter | None) -> Iterator[tuple[NodeKey, list[FoundDocument]]]:
        walk = self.documents.walk(self._own(where or DocumentFilter()))
        while some := list(islice(walk, _REPARSED_TOGETHER)):
            for key, found in groupby(some, lambda one: one.key):
                yield key, list(found)

    def _reparse(self, node: DocumentNode, found: Sequence[FoundDocument], report: ReparseReport) -> None:
        parsed, reasons = self._items.parsed(node, [service_item(one.document) for one in found], ItemClock())
        storable, more = without_faults(parsed)
        self.documents.set_parsed(
            node.key,
            [
                ParsedDocument(new.item_id, old.document.updated, new.parsed, new.text)
                for new, old in zip(storable, found, strict=True)
            ],
        )
        count = sum(one.parsed is not None for one in storable)
        report.parsed += count
        report.failed.update({(node.key, item_id): reason for item_id, reason in {**reasons, **more}.items()})
        report.unparsed += len(storable) - count - len({**reasons, **more})

    def _own(self, where: _Filter) -> _Filter:
        """Return a filter of this account alone."""
        others = [one for one in where.accounts or () if one != self.account]
        if others:
            raise InvalidValueError(
                f"this cache serves the account {shown(self.account)} and returns nothing of {shown(others)}; use "
                "backend.document_storage() to reach all accounts"
            )
        return replace(where, accounts=[self.account] if where.accounts is None else where.accounts)


def result_fields(found: FoundDocument) -> dict[str, Any]:
    """Return a result of a search as one dict: its parsed content, with the item and its node.

    >>> from datetime import datetime, timezone
    >>> from feedstore.storage.documents import Document
    >>> moment = datetime(2026, 1, 31, tzinfo=timezone.utc)
    >>> document = Document("i1", b"<entry/>", None, '{"title": "Hi"}', moment, moment)
    >>> result_fields(FoundDocument(NodeKey("ann", "pubsub.example", "blog"), document))["title"]
    'Hi'
    """
    document = found.document
    return {
        **(document.parsed or {}),
        "pubsub_service": found.key.service,
        "pubsub_node": found.key.name,
        "node_profile": found.key.account,
        "item_id": document.item_id,
        "item_payload": document.payload.decode("utf-8", "replace"),
    }
