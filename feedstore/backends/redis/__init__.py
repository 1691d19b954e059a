"""The Redis backend: one server, or a Cluster."""

from feedstore.backends.redis.activity import RedisActivityStorage
from feedstore.backends.redis.backend import RedisBackend
from feedstore.backends.redis.kv import RedisKvStorage
from feedstore.backends.redis.timeline import RedisTimelineStorage

__all__ = ["RedisActivityStorage", "RedisBackend", "RedisKvStorage", "RedisTimelineStorage"]
