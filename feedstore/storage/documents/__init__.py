"""Documents in nodes, such as cached pubsub items: values, queries, and the contract of their storage."""

from feedstore.storage.documents.query import (
    OPERATORS,
    ORDERS,
    Condition,
    DocumentFilter,
    DocumentQuery,
    Order,
)
from feedstore.storage.documents.storage import DocumentStorage
from feedstore.storage.documents.values import (
    Document,
    DocumentNode,
    DocumentPage,
    FoundDocument,
    FoundPage,
    NewDocument,
    NodeFields,
    NodeKey,
    NodeSubscription,
    ParsedDocument,
    PathIndex,
    PathKind,
    SubscriptionState,
    SyncState,
)

__all__ = [
    "OPERATORS",
    "ORDERS",
    "Condition",
    "Document",
    "DocumentFilter",
    "DocumentNode",
    "DocumentPage",
    "DocumentQuery",
    "DocumentStorage",
    "FoundDocument",
    "FoundPage",
    "NewDocument",
    "NodeFields",
    "NodeKey",
    "NodeSubscription",
    "Order",
    "ParsedDocument",
    "PathIndex",
    "PathKind",
    "SubscriptionState",
    "SyncState",
]
