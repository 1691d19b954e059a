"""The items of a cache: service items to documents and back."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from feedstore.errors import DocumentNotFound, InvalidTypeError, InvalidValueError, PubsubItemNotFound
from feedstore.pubsub.analysers import Analysers, Parser
from feedstore.pubsub.node_watch import now
from feedstore.pubsub.parsing import ParserRunner
from feedstore.pubsub.values import ItemOrder, ItemsPage, RsmRequest, RsmResponse, ServiceItem
from feedstore.shown import shown
from feedstore.storage.documents import (
    Document,
    DocumentFilter,
    DocumentNode,
    DocumentPage,
    DocumentStorage,
    NewDocument,
    NodeKey,
)
from feedstore.storage.documents.checks import check_new_document
from feedstore.storage.documents.query import MAX_RESULTS

DEFAULT_ITEMS = 20
"""The number of items in an answer to a request that names none."""
_STEP = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=timezone.utc) - _STEP
_logger = logging.getLogger(__name__)


def filter_of(key: NodeKey) -> DocumentFilter:
    """Return the filter that chooses the documents of one node."""
    return DocumentFilter([key.account], [key.service], [key.name])


def service_item(document: Document) -> ServiceItem:
    """Return a document as the item that the service sent."""
    return ServiceItem(document.item_id, document.payload, document.publisher, document.created, document.updated)


class ItemClock:
    """Gives stored items times that follow the order of the service, also if its clock goes back.

    Args:
        created: the creation of the newest stored item, or None.
        updated: the newest modification, or None. If given, each item is the newest modification.
    """

    def __init__(self, created: datetime | None = None, updated: datetime | None = None) -> None:
        self._created = created
        self._updated = updated

    def times(self, item: ServiceItem) -> tuple[datetime, datetime]:
        """Return the creation and the modification of the next item."""
        present = now()
        created = item.published or present
        if self._created is not None:
            created = max(created, self._created)
        self._created = created
        updated = item.updated or (present if item.published is None else created)
        if self._updated is not None:
            # The next modification is later, because a document may have been stored before with the same time.
            updated = self._updated = max(updated, min(self._updated, _LAST) + _STEP)
        return created, updated


class CachedItems:
    """Stores the items of nodes with their parsed form, and reads them."""

    def __init__(self, documents: DocumentStorage, analysers: Analysers, runner: ParserRunner) -> None:
        self.documents = documents
        self._analysers = analysers
        self._runner = runner

    def parser_of(self, node: DocumentNode, chosen: Parser | None = None) -> Parser | None:
        """Return the parser of a node's items; None if its analyser is not registered, or has no parser."""
        if chosen is not None:
            return chosen
        analyser = self._analysers.named(node.analyser)
        return None if analyser is None else analyser.parser

    def clock_of(self, key: NodeKey, *, is_newest: bool) -> ItemClock:
        """Return the clock for further items of a node; with ``is_newest`` for those of an event. Two round trips."""
        created = self.documents.newest(key, 1, order_by="creation")
        updated = self.documents.newest(key, 1, order_by="modification") if is_newest else []
        return ItemClock(
            created[0].created if created else None,
            updated[0].updated if updated else None,
        )

    def parsed(
        self,
        node: DocumentNode,
        items: Sequence[ServiceItem],
        clock: ItemClock,
        chosen: Parser | None = None,
    ) -> tuple[list[NewDocument], dict[str, str]]:
        """Return the documents of items, and the reasons for which the parser left some of them unparsed."""
        results = self._runner.parse(self.parser_of(node, chosen), items, node.key.service, node.key.name)
        reasons = {
            item.id: result.reason for item, result in zip(items, results, strict=True) if result.reason is not None
        }
        documents = [
            NewDocument(item.id, item.payload, item.publisher, result.parsed, result.text, *clock.times(item))
            for item, result in zip(items, results, strict=True)
        ]
        return documents, reasons

    def store(
        self,
        node: DocumentNode,
        items: Sequence[ServiceItem],
        clock: ItemClock,
        *,
        token: str | None = None,
        chosen: Parser | None = None,
    ) -> bool:
        """Store items, and return False if the token is no longer valid or the node is gone.

        Raises:
            InvalidValueError, InvalidTypeError: The storage cannot hold an item, even unparsed.
        """
        documents, _ = self.parsed(node, items, clock, chosen)
        try:
            return bool(self.documents.put_items(node.key, documents, sync_token=token))
        except (InvalidValueError, InvalidTypeError):
            storable, _ = without_faults(documents)
            return bool(self.documents.put_items(node.key, storable, sync_token=token))

    def changed(self, key: NodeKey, items: Sequence[ServiceItem]) -> list[ServiceItem]:
        """Return those of some items that the cache does not hold, or holds with another payload."""
        held = {one.item_id: one for one in self.documents.get_items(key, [item.id for item in items])}
        return [item for item in items if item.id not in held or held[item.id].payload != item.payload]

    def remove_others(self, key: NodeKey, kept: set[str], token: str) -> None:
        """Remove the items of a node whose ids are not among those to keep."""
        gone = [one.document.item_id for one in self.documents.walk(filter_of(key)) if one.document.item_id not in kept]
        if gone:
            self.documents.remove_items(key, gone, sync_token=token)

    def read(
        self,
        key: NodeKey,
        max_items: int | None,
        item_ids: Iterable[str] | None,
        rsm: RsmRequest | None,
        order_by: ItemOrder | None,
    ) -> ItemsPage:
        """Return items of a node as a service does.

        Raises:
            PubsubItemNotFound: No item has the id in ``after`` or ``before`` of ``rsm``.
        """
        if rsm is not None:
            return self._read_page(key, rsm, order_by or "creation")
        if item_ids is not None:
            return ItemsPage(tuple(map(service_item, self.documents.get_items(key, item_ids))), complete=True)
        limit = DEFAULT_ITEMS if max_items is None else min(max_items, MAX_RESULTS)
        found = self.documents.newest(key, limit, order_by=order_by or "modification")
        return ItemsPage(tuple(map(service_item, found)), complete=len(found) < limit)

    def _read_page(self, key: NodeKey, rsm: RsmRequest, order_by: ItemOrder) -> ItemsPage:
        limit = DEFAULT_ITEMS if rsm.max is None else min(rsm.max, MAX_RESULTS)
        try:
            page = self.documents.page(
                key, order_by=order_by, limit=limit, after=rsm.after, before=rsm.before, index=rsm.index
            )
        except DocumentNotFound:
            unknown = rsm.after if rsm.before is None else rsm.before
            raise PubsubItemNotFound(f"the node {shown(key.name)} has no item {shown(unknown)}") from None
        items = tuple(map(service_item, page.documents))
        first, last = (items[0].id, items[-1].id) if items else (None, None)
        place = RsmResponse(first, last, page.first_index, page.count)
        return ItemsPage(items, place, _is_complete(page, rsm))


def _is_complete(page: DocumentPage, rsm: RsmRequest) -> bool:
    """Return whether no item follows a page in the direction of its request."""
    if rsm.before is None:
        return page.complete
    return page.count == 0 if rsm.max == 0 else not page.first_index


def without_faults(documents: Iterable[NewDocument]) -> tuple[list[NewDocument], dict[str, str]]:
    """Return documents without the parsed content that the storage cannot hold, and the reasons.

    Raises:
        InvalidValueError, InvalidTypeError: The storage cannot hold a document even without it.
    """
    storable, reasons = [], {}
    for document in documents:
        try:
            check_new_document(document)
        except (InvalidValueError, InvalidTypeError) as error:
            document = replace(document, parsed=None)
            check_new_document(document)
            reasons[document.item_id] = str(error)
            _logger.warning("the item %s is kept unparsed: %s", shown(document.item_id), error)
        storable.append(document)
    return storable, reasons
