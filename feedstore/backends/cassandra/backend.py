"""The Cassandra backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from feedstore.backends.cassandra.activity import CassandraActivityStorage
from feedstore.backends.cassandra.kv import CassandraKvStorage
from feedstore.backends.cassandra.opening import open_session, open_store
from feedstore.backends.cassandra.session import CassandraSession
from feedstore.backends.cassandra.timeline import CassandraTimelineStorage
from feedstore.errors import InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.storage.backend import Backend


class CassandraBackend(Backend):
    """A store in a keyspace of an Apache Cassandra cluster, 4.0 or newer.

    ``url`` is ``cassandra://user:password@host1:9042,host2/keyspace``. Or ``session`` is a ready session of
    cassandra-driver's, which stays the caller's to close and may not be used after a fork; ``keyspace`` then says which
    one, by default the session's own.

    Options, by keyword or in the URL's query:

    - ``namespace``; ``consistency`` (``local_quorum``); ``trim_consistency`` (``quorum``; of the reads that decide what
      a trim drops); ``timeout`` (10 seconds); ``retry_seconds`` (10; how long a call goes on trying while nodes are
      away: a write that is sent twice changes nothing twice); ``batch_limit`` (51,200 bytes, the servers'
      ``batch_size_fail_threshold``: a larger atomic batch goes by the journal).
    - ``schema``: what opening does about the tables. By default and with ``migrate`` they are made in a keyspace that
      has none; ``check`` only looks; ``ignore`` does not even look. ``replication`` makes the keyspace too: ``3``
      replicas in every datacenter, or ``east:3,west:2``.
    - ``datacenter`` (that of the first node), ``connect_timeout`` (5 seconds), ``ssl_ca_certs`` (TLS is spoken where it
      is given), ``ssl_certfile``, ``ssl_keyfile``, ``ssl_check_hostname`` (true).

    Every write carries a timestamp of this process's clock, above the one before. An atomic batch is one logged batch,
    or goes by a journal where it is larger than ``batch_limit``: all of it happens in the end, but a reader may see a
    part first.
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
            raise InvalidTypeError("pass a URL or session=, and not both")
        if url is not None:
            if keyspace is not None:
                raise InvalidTypeError("the keyspace stands in the URL; keyspace= goes with session=")
            store, namespace = open_store(url, options)
        else:
            store, namespace = open_session(session, keyspace, options)
        super().__init__(CassandraSession(store, namespace, metrics))
