"""The contracts of backends, as abstract classes with concrete public methods."""

from feedstore.ids import ActivityLike, Identified
from feedstore.storage.abilities import Abilities, AtomicScope
from feedstore.storage.activity import ActivityStorage
from feedstore.storage.backend import Backend, Batch
from feedstore.storage.base import Storage
from feedstore.storage.bounds import Bounds, Filter
from feedstore.storage.kv import KvStorage
from feedstore.storage.names import StorageNames
from feedstore.storage.notify.subscription import Notifier, Subscription
from feedstore.storage.page import EntryColumns, Page
from feedstore.storage.queue import QueueStorage
from feedstore.storage.timeline import TimelineStorage

__all__ = [
    "Abilities",
    "ActivityLike",
    "ActivityStorage",
    "AtomicScope",
    "Backend",
    "Batch",
    "Bounds",
    "EntryColumns",
    "Filter",
    "Identified",
    "KvStorage",
    "Notifier",
    "Page",
    "QueueStorage",
    "Storage",
    "StorageNames",
    "Subscription",
    "TimelineStorage",
]
