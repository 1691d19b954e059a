"""The Redis backend: one server, or a Cluster."""

from importlib.util import find_spec

from feedstore.errors import MissingDriverError

if find_spec("redis") is None:
    raise MissingDriverError("the Redis backend needs redis-py: pip install 'feedstore[redis]'")

from feedstore.backends.redis.activity import RedisActivityStorage
from feedstore.backends.redis.backend import RedisBackend
from feedstore.backends.redis.kv import RedisKvStorage
from feedstore.backends.redis.queue import RedisQueueStorage
from feedstore.backends.redis.timeline import RedisTimelineStorage

__all__ = ["RedisActivityStorage", "RedisBackend", "RedisKvStorage", "RedisQueueStorage", "RedisTimelineStorage"]
