"""The memory backend: for tests, caches and single processes."""

from feedstore.backends.memory.activity import InMemoryActivityStorage
from feedstore.backends.memory.backend import MemoryBackend
from feedstore.backends.memory.kv import InMemoryKvStorage
from feedstore.backends.memory.ordering import compare, reverse_bisect_left
from feedstore.backends.memory.queue import InMemoryQueueStorage
from feedstore.backends.memory.timeline import InMemoryTimelineStorage

InMemoryStorage = InMemoryKvStorage

__all__ = [
    "InMemoryActivityStorage",
    "InMemoryKvStorage",
    "InMemoryQueueStorage",
    "InMemoryStorage",
    "InMemoryTimelineStorage",
    "MemoryBackend",
    "compare",
    "reverse_bisect_left",
]
