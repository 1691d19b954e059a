"""The Cassandra backend: a cluster of Apache Cassandra 4.0 or newer."""

from importlib.util import find_spec

from feedstore.errors import MissingDriverError

if find_spec("cassandra") is None:
    raise MissingDriverError("the Cassandra backend needs cassandra-driver: pip install 'feedstore[cassandra]'")

from feedstore.backends.cassandra.event_loop import check_event_loop

check_event_loop()

from feedstore.backends.cassandra.activity import CassandraActivityStorage
from feedstore.backends.cassandra.backend import CassandraBackend
from feedstore.backends.cassandra.kv import CassandraKvStorage
from feedstore.backends.cassandra.timeline import CassandraTimelineStorage

__all__ = ["CassandraActivityStorage", "CassandraBackend", "CassandraKvStorage", "CassandraTimelineStorage"]
