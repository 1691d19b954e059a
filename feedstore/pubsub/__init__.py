"""Pubsub: services that publish items in nodes, such as XMPP servers and web feeds.

Import each service from its own module, because some need extras.
"""

from feedstore.pubsub.service import Listener, PubsubService
from feedstore.pubsub.values import (
    EventsMissed,
    ItemOrder,
    ItemsPage,
    ItemsPublished,
    ItemsRetracted,
    NodeConfigured,
    NodeDeleted,
    NodePurged,
    PubsubEvent,
    RsmRequest,
    RsmResponse,
    ServiceEvent,
    ServiceItem,
)

__all__ = [
    "EventsMissed",
    "ItemOrder",
    "ItemsPage",
    "ItemsPublished",
    "ItemsRetracted",
    "Listener",
    "NodeConfigured",
    "NodeDeleted",
    "NodePurged",
    "PubsubEvent",
    "PubsubService",
    "RsmRequest",
    "RsmResponse",
    "ServiceEvent",
    "ServiceItem",
]
