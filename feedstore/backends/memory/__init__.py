"""The memory backend: for tests, caches and single processes."""

from feedstore.backends.memory.activity import InMemoryActivityStorage
from feedstore.backends.memory.backend import MemoryBackend
from feedstore.backends.memory.kv import InMemoryKvStorage
from feedstore.backends.memory.queue import InMemoryQueueStorage
from feedstore.backends.memory.timeline import InMemoryTimelineStorage

__all__ = [
    "InMemoryActivityStorage",
    "InMemoryKvStorage",
    "InMemoryQueueStorage",
    "InMemoryTimelineStorage",
    "MemoryBackend",
]
