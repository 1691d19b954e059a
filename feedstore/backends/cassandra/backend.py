"""The Cassandra backend, and the opening of its store from a URL or a ready session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from feedstore.backends.cassandra.activity import CassandraActivityStorage
from feedstore.backends.cassandra.address import check_keyspace, parse_address
from feedstore.backends.cassandra.driver import check_session, own_session
from feedstore.backends.cassandra.kv import CassandraKvStorage
from feedstore.backends.cassandra.options import OPTIONS, read_options, settings_of
from feedstore.backends.cassandra.session import CassandraSession
from feedstore.backends.cassandra.store import Store
from feedstore.backends.cassandra.timeline import CassandraTimelineStorage
from feedstore.errors import InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.storage.backend import Backend
from feedstore.storage.names import StorageNames


def open_store(url: str, given: dict[str, Any]) -> tuple[Store, str]:
    """Return the store at a URL, which is not connected yet, and the namespace to use in it."""
    address = parse_address(url)
    options = read_options(address.query, given)
    connect = own_session(address, options)
    store = Store(connect, settings_of(options), address.keyspace, address.label, was_given=False)
    return store, options["namespace"]


def open_session(session: Any, keyspace: str | None, given: dict[str, Any]) -> tuple[Store, str]:
    """Return the store of a ready session, in a keyspace or the session's own, and the namespace to use in it."""
    check_session(session)
    OPTIONS.refuse_of_connection(given, "session")
    options = read_options({}, given)
    chosen = check_keyspace(session.keyspace if keyspace is None else keyspace)
    label = f"the given session, keyspace {chosen}"
    return Store(lambda: session, settings_of(options), chosen, label, was_given=True), options["namespace"]


class CassandraBackend(Backend):
    """A store in a keyspace of an Apache Cassandra cluster, 4.0 or newer.

    Every write carries a timestamp of this process's clock, greater than the one before. An atomic batch is one logged
    batch. If it is larger than ``batch_limit``, it goes through a journal. In the end all its writes are stored, but a
    reader may see some of them before the others.

    Args:
        url: ``cassandra://user:password@host1:9042,host2/keyspace``.
        session: A ready session of cassandra-driver instead of a URL. The caller closes it, and it cannot be used after
            a fork.
        keyspace: The keyspace of a ready session. None is the session's own.
        metrics: The metrics that storages of this backend report to.
        options: Options, as keywords or in the URL's query, which the list below describes.

    - ``namespace``; ``consistency`` (``local_quorum``); ``trim_consistency`` (``quorum``, for the reads that decide
      which entries a trim drops); ``timeout`` (10 seconds); ``retry_seconds`` (10, the time for which a call is retried
      while nodes are unreachable); ``batch_limit`` (51,200 bytes, the servers' ``batch_size_fail_threshold``).
    - ``schema``: the treatment of the tables at the opening. By default and with ``migrate``, the opening creates them
      in a keyspace without tables. ``check`` only checks them, and ``ignore`` does not. With ``replication``, the
      opening also creates the keyspace: ``3`` replicas in every datacenter, or ``east:3,west:2``.
    - ``datacenter`` (that of the first node), ``connect_timeout`` (5 seconds), ``ssl_ca_certs`` (which turns on TLS),
      ``ssl_certfile``, ``ssl_keyfile``, ``ssl_check_hostname`` (true).
    """

    session: CassandraSession
    activity_storage_class = CassandraActivityStorage
    timeline_storage_class = CassandraTimelineStorage
    kv_storage_class = CassandraKvStorage
    options_to_read: ClassVar[Mapping[str, Any]] = {"schema": "check"}

    def __init__(
        self,
        url: str | None = None,
        *,
        session: Any = None,
        keyspace: str | None = None,
        metrics: Metrics | None = None,
        **options: Any,
    ) -> None:
        if (url is None) == (session is None):
            raise InvalidTypeError("pass either a URL or session=")
        if url is not None:
            if keyspace is not None:
                raise InvalidTypeError("put the keyspace into the URL; keyspace= is for session= only")
            store, namespace = open_store(url, options)
        else:
            store, namespace = open_session(session, keyspace, options)
        super().__init__(CassandraSession(store, namespace, metrics))

    def _names(self, known: Mapping[str, str]) -> StorageNames:
        """Return the names by reading the marks of all namespaces, and the partition keys of all key-value items.

        The queues are absent, because only hashes of their names are stored.
        """
        store, root = self.session.store_to_read(), self.session.root_namespace
        items = store.fetch(store.statements.select_names_of_items, [])
        return StorageNames.found(
            root,
            known,
            [other for (other,) in store.fetch(store.statements.select_namespaces, [])],
            {name for namespace, name, _ in items if namespace == root},
            None,
        )
