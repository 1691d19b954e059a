"""The SQL backend: SQLite as the embedded default, PostgreSQL as a server."""

from feedstore.backends.sql.activity import SqlActivityStorage
from feedstore.backends.sql.backend import SqlBackend
from feedstore.backends.sql.documents import SqlDocumentStorage
from feedstore.backends.sql.kv import SqlKvStorage
from feedstore.backends.sql.queue import SqlQueueStorage
from feedstore.backends.sql.timeline import SqlTimelineStorage

__all__ = [
    "SqlActivityStorage",
    "SqlBackend",
    "SqlDocumentStorage",
    "SqlKvStorage",
    "SqlQueueStorage",
    "SqlTimelineStorage",
]
