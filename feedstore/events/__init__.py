"""Events: an event store on every backend, with search by time, tags and content."""

from feedstore.errors import (
    EventNotFound,
    EventReadException,
    EventStoreException,
    EventWriteException,
    InvalidEventError,
    InvalidSearchError,
)
from feedstore.events.backend_store import BackendEventStore, connect_events
from feedstore.events.event import Event, TimeLike, seconds_of
from feedstore.events.follower import Follower
from feedstore.events.search import Search, SearchStatistics
from feedstore.events.store import EventStore

__all__ = [
    "BackendEventStore",
    "Event",
    "EventNotFound",
    "EventReadException",
    "EventStore",
    "EventStoreException",
    "EventWriteException",
    "Follower",
    "InvalidEventError",
    "InvalidSearchError",
    "Search",
    "SearchStatistics",
    "TimeLike",
    "connect_events",
    "seconds_of",
]
