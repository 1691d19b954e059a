"""Pubsub: services that publish items in nodes, such as XMPP servers and web feeds.

Import each service from its own module, because some need extras.
"""

from feedstore.pubsub.analysers import Analyser, MatchCallback, NodeAnalysis, Parser
from feedstore.pubsub.cache import PubsubCache
from feedstore.pubsub.cache_contents import ReparseReport, result_fields
from feedstore.pubsub.followed_nodes import FollowedNodes, item_content
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
    NodeSynchronised,
    PubsubEvent,
    RsmRequest,
    RsmResponse,
    ServiceEvent,
    ServiceItem,
)

__all__ = [
    "Analyser",
    "EventsMissed",
    "FollowedNodes",
    "ItemOrder",
    "ItemsPage",
    "ItemsPublished",
    "ItemsRetracted",
    "Listener",
    "MatchCallback",
    "NodeAnalysis",
    "NodeConfigured",
    "NodeDeleted",
    "NodePurged",
    "NodeSynchronised",
    "Parser",
    "PubsubCache",
    "PubsubEvent",
    "PubsubService",
    "ReparseReport",
    "RsmRequest",
    "RsmResponse",
    "ServiceEvent",
    "ServiceItem",
    "item_content",
    "result_fields",
]
