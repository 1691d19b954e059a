"""The Cassandra backend: a cluster of Apache Cassandra 4.0 or newer."""

from importlib.util import find_spec

from feedstore.errors import MissingDriverError

if find_spec("cassandra") is None:
    raise MissingDriverError("the Cassandra backend needs cassandra-driver: pip install 'feedstore[cassandra]'")

from cassandra import DependencyException

try:
    import cassandra.cluster  # noqa: F401
except DependencyException as error:
    raise MissingDriverError(
        "cassandra-driver is installed without an event loop: its libev extension is missing, and this Python has no "
        "asyncore; install one of its wheels (pip install --force-reinstall --only-binary=:all: cassandra-driver), or "
        "libev's headers (libev-dev) before it is built"
    ) from error

from feedstore.backends.cassandra.activity import CassandraActivityStorage
from feedstore.backends.cassandra.backend import CassandraBackend
from feedstore.backends.cassandra.kv import CassandraKvStorage
from feedstore.backends.cassandra.timeline import CassandraTimelineStorage

__all__ = ["CassandraActivityStorage", "CassandraBackend", "CassandraKvStorage", "CassandraTimelineStorage"]
