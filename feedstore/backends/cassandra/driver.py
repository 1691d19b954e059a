"""Making a session of the driver's, and what requests need to know of one."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    ResponseFuture,
    _ConfigMode,
)
from cassandra.connection import ConnectionShutdown
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.protocol import PrepareMessage
from cassandra.query import BoundStatement, PreparedStatement, tuple_factory

from feedstore.backends.cassandra.address import Address
from feedstore.backends.cassandra.answers import Answer
from feedstore.backends.cassandra.errors import DRIVER_ERRORS, is_passing
from feedstore.backends.cassandra.executor import BackgroundExecutor
from feedstore.backends.cassandra.options import Settings
from feedstore.backends.cassandra.retries import IdempotentRetries
from feedstore.backends.cassandra.server_warnings import hide_expected_warnings
from feedstore.backends.cassandra.values import routing_key
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

# Version 5 is what 4.0 and newer speak. Asked to find out, the driver connects once for each version it tries.
_PROTOCOL = 5
_FETCH_SIZE = 5000
_PAUSE_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 1.0
# The driver itself would wait up to ten minutes before it looks for a node again that was away for a while.
_FIRST_RECONNECTION_SECONDS, _LAST_RECONNECTION_SECONDS = 0.5, 10.0
# A node that hangs keeps its connections. A request that it does not answer is sent to the next node as well, twice at
# most, and it is taken for dead once it has not answered a heartbeat.
_FURTHER_NODES = 2
_LONGEST_PATIENCE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 5
# The driver's own default.
_BACKGROUND_THREADS = 2
# Without it a message that fills no packet waits for the answer to the one before, which the server delays by 40 ms:
# fan-outs to 1,000 timelines fell from 100,000 to 20,000 deliveries a second.
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


class DriverSession:
    """A session, with prepared statements, and with a profile of its own for requests."""

    def __init__(self, session: Any, settings: Settings, keyspace: str, is_owned: bool) -> None:
        self.cluster = session.cluster
        self.keyspace = keyspace
        self.driver_session = session
        self._is_owned = is_owned
        self._retry_seconds = settings.retry_seconds
        patience = min(_LONGEST_PATIENCE_SECONDS, settings.timeout / (_FURTHER_NODES + 2))
        self.profile = session.execution_profile_clone_update(
            EXEC_PROFILE_DEFAULT,
            row_factory=tuple_factory,
            retry_policy=IdempotentRetries(session),
            speculative_execution_policy=ConstantSpeculativeExecutionPolicy(patience, _FURTHER_NODES),
            request_timeout=settings.timeout,
            consistency_level=settings.consistency,
        )
        hide_expected_warnings()
        self._prepared: dict[str, Any] = {}
        self._lock = threading.RLock()

    def prepared(self, text: str) -> Any:
        """Return a prepared statement; one round trip when it is first used."""
        found = self._prepared.get(text)
        if found is None:
            with self._lock:
                found = self._prepared.get(text) or self._prepare(text)
                self._prepared[text] = found
        return found

    def _prepare(self, text: str) -> Any:
        deadline = time.monotonic() + self._retry_seconds
        while True:
            try:
                prepared = self._ask_to_prepare(text)
                break
            except DRIVER_ERRORS as error:
                is_late = time.monotonic() + _PAUSE_SECONDS > deadline
                if is_late or not is_passing(error) or self.driver_session.is_shutdown:
                    raise
            time.sleep(_PAUSE_SECONDS)
        prepared.is_idempotent = True
        prepared.fetch_size = _FETCH_SIZE
        return prepared

    def _ask_to_prepare(self, text: str) -> Any:
        """Ask nodes until one of them has prepared a statement; the others do so when they meet it.

        The driver's own way waits ten seconds for the first node, and as long for each of the others.
        """
        profile = self.profile
        future = ResponseFuture(
            self.driver_session,
            PrepareMessage(query=text, keyspace=None),
            query=None,
            timeout=profile.request_timeout,
            retry_policy=profile.retry_policy,
            load_balancer=profile.load_balancing_policy,
            speculative_execution_plan=profile.speculative_execution_policy.new_plan(None, None),
        )
        future.send_request()
        answer = Answer(future).result().one()
        prepared = PreparedStatement.from_message(
            answer.query_id,
            answer.bind_metadata,
            answer.pk_indexes,
            self.cluster.metadata,
            text,
            None,
            self.cluster.protocol_version,
            answer.column_metadata,
            answer.result_metadata_id,
            self.cluster.column_encryption_policy,
        )
        self.cluster.add_prepared(answer.query_id, prepared)
        return prepared

    def bound(self, text: str, values: list[bytes], consistency: int | None = None) -> Any:
        """Return a statement with its values, which are serialized already."""
        statement = BoundStatement(self.prepared(text), consistency_level=consistency)
        statement.values = values
        return statement

    def conditional(self, text: str, values: list[bytes]) -> Any:
        """Return a lightweight transaction, which the driver sends once: carried out twice, it would not see that the
        first has won.
        """
        statement = self.bound(text, values)
        statement.is_idempotent = False
        statement.retry_policy = FallthroughRetryPolicy()
        return statement

    def send(self, statement: Any) -> Any:
        """Send a statement, and return what waits for its answer."""
        future = self.driver_session.execute_async(statement, execution_profile=self.profile)
        return self._answer_of(future)

    def rows_of(self, statement: Any, result: Any) -> list[Any]:
        """Return the rows of a result, and of the pages behind it: one round trip for each 5,000."""
        rows: list[Any] = list(result.current_rows)
        while result.has_more_pages:
            future = self.driver_session.execute_async(
                statement, execution_profile=self.profile, paging_state=result.paging_state
            )
            result = self._answer_of(future).result()
            rows += result.current_rows
        return rows

    def _answer_of(self, future: Any) -> Any:
        # Where the session is shut down meanwhile, the driver may have put the request on a connection that was closed
        # before: nobody would answer it until its time is up.
        return _Unanswered() if self.driver_session.is_shutdown else Answer(future)

    def replica_of(self, partition: tuple[bytes, ...]) -> Any:
        """Return the first replica of a partition; None where all nodes are the same to it."""
        if self._has_one_node:
            return None
        replicas = self.cluster.metadata.get_replicas(self.keyspace, routing_key(partition))
        return replicas[0] if replicas else None

    @cached_property
    def _has_one_node(self) -> bool:
        return len(self.cluster.metadata.all_hosts()) < 2

    def close(self) -> None:
        """Close what was opened here."""
        if not self._is_owned:
            return
        # A preparation that is under way comes to its end first: once shut down, the driver forgets it, and it would
        # wait for an answer until its time is up.
        is_held = self._lock.acquire(timeout=_LONGEST_WAIT_SECONDS)
        try:
            self.cluster.shutdown()
        finally:
            if is_held:
                self._lock.release()


class _Unanswered:
    """What stands for the answer to a request that a session which was shut down has taken."""

    def result(self) -> Any:
        """Raise what the driver raises for a request that was under way."""
        raise ConnectionShutdown("the session was shut down")


def own_session(address: Address, options: Mapping[str, Any]) -> Callable[[], Any]:
    """Return what connects to a cluster and returns the driver's session. Nothing is connected yet."""
    tls = _tls_context(options)

    def connect() -> Any:
        nearest = TokenAwarePolicy(DCAwareRoundRobinPolicy(options["datacenter"] or ""))
        cluster = Cluster(
            address.places,
            protocol_version=_PROTOCOL,
            sockopts=_SOCKET_OPTIONS,
            connect_timeout=options["connect_timeout"],
            control_connection_timeout=options["connect_timeout"],
            idle_heartbeat_interval=_HEARTBEAT_SECONDS,
            idle_heartbeat_timeout=_HEARTBEAT_SECONDS,
            reconnection_policy=ExponentialReconnectionPolicy(
                _FIRST_RECONNECTION_SECONDS, _LAST_RECONNECTION_SECONDS, max_attempts=None
            ),
            auth_provider=PlainTextAuthProvider(**address.credentials) if address.credentials else None,
            ssl_context=tls,
            execution_profiles={EXEC_PROFILE_DEFAULT: ExecutionProfile(load_balancing_policy=nearest)},
        )
        # The driver has begun no task yet, so its own executor has no thread.
        cluster.executor = cluster.scheduler._executor = BackgroundExecutor(_BACKGROUND_THREADS)
        try:
            return cluster.connect()
        except NoHostAvailable as error:
            cluster.shutdown()
            _refuse_unknown_datacenter(cluster, options["datacenter"], error)
            raise
        except BaseException:
            cluster.shutdown()
            raise

    return connect


def _refuse_unknown_datacenter(cluster: Any, datacenter: str | None, error: Exception) -> None:
    known = sorted({host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter})
    if datacenter is not None and known and datacenter not in known:
        raise InvalidValueError(
            f"the cluster has no datacenter {shown(datacenter)}; its datacenters are {', '.join(known)}"
        ) from error


def _tls_context(options: Mapping[str, Any]) -> ssl.SSLContext | None:
    if options["ssl_ca_certs"] is None:
        for name in ("ssl_certfile", "ssl_keyfile"):
            if options[name] is not None:
                raise InvalidValueError(f"the option {name} needs TLS; pass ssl_ca_certs too")
        return None
    try:
        context = ssl.create_default_context(cafile=options["ssl_ca_certs"])
        context.check_hostname = options["ssl_check_hostname"]
        if options["ssl_certfile"] is not None:
            context.load_cert_chain(options["ssl_certfile"], options["ssl_keyfile"])
    except OSError as error:
        raise InvalidValueError(f"the certificates cannot be read: {error}") from error
    return context


def check_session(session: Any) -> None:
    """Raise unless ``session`` is one of the driver's that requests can be made with."""
    if not hasattr(session, "execution_profile_clone_update"):
        raise InvalidTypeError(f"session is what Cluster.connect() returns, not {type(session).__name__}")
    if session.is_shutdown:
        raise InvalidValueError("the session that was handed in is closed")
    if session.cluster._config_mode == _ConfigMode.LEGACY:
        raise InvalidValueError(
            "the session that was handed in takes no execution profiles; give its Cluster execution_profiles= instead "
            "of load_balancing_policy= or default_retry_policy=, and no default, such as row_factory, on the session"
        )
