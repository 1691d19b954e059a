"""Sessions of the driver: their creation, and their requests."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
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
from feedstore.backends.cassandra.adjustments import Answer, IdempotentRetries, hide_expected_warnings
from feedstore.backends.cassandra.errors import DRIVER_ERRORS, is_passing
from feedstore.backends.cassandra.executor import BackgroundExecutor
from feedstore.backends.cassandra.options import Settings
from feedstore.backends.cassandra.values import routing_key
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.forks import unlocked_property
from feedstore.shown import shown

# Cassandra 4.0 and newer speak version 5. Without it, the driver connects once for each version that it tries.
_PROTOCOL = 5
_FETCH_SIZE = 5000
_PAUSE_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 1.0
# By default, the driver waits up to ten minutes before it reconnects to a node that was unreachable.
_FIRST_RECONNECTION_SECONDS, _LAST_RECONNECTION_SECONDS = 0.5, 10.0
# A node that hangs keeps its connections. A request that it does not answer is also sent to up to two further nodes.
# The node counts as dead after it missed a heartbeat.
_FURTHER_NODES = 2
_LONGEST_PATIENCE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 5
# The driver's own default.
_BACKGROUND_THREADS = 2
# Without this option, a message that fills no packet waits for the answer to the message before, which the server
# delays by 40 ms: fan-outs to 1,000 timelines fell from 100,000 to 20,000 deliveries a second.
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


class DriverSession:
    """A session of the driver with its prepared statements and a profile of its own."""

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
        """Return a prepared statement. The first use costs one round trip."""
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
        """Prepare a statement at the first node that answers. Other nodes prepare it at its first use there.

        The driver's ``prepare()`` waits ten seconds for the first node, and as long for each of the others.
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
        """Return a statement with serialized values."""
        statement = BoundStatement(self.prepared(text), consistency_level=consistency)
        statement.values = values
        return statement

    def conditional(self, text: str, values: list[bytes]) -> Any:
        """Return a lightweight transaction, which the driver sends once.

        The second of two attempts would fail if the first one was applied, and report that its condition did not hold.
        """
        statement = self.bound(text, values)
        statement.is_idempotent = False
        statement.retry_policy = FallthroughRetryPolicy()
        return statement

    def send(self, statement: Any) -> Any:
        """Send a statement. Return an object whose ``result()`` waits for the answer."""
        future = self.driver_session.execute_async(statement, execution_profile=self.profile)
        return self._answer_of(future)

    def rows_of(self, statement: Any, result: Any) -> list[Any]:
        """Return the rows of a result and of its further pages, with one round trip for each 5,000 rows."""
        rows: list[Any] = list(result.current_rows)
        while result.has_more_pages:
            future = self.driver_session.execute_async(
                statement, execution_profile=self.profile, paging_state=result.paging_state
            )
            result = self._answer_of(future).result()
            rows += result.current_rows
        return rows

    def _answer_of(self, future: Any) -> Any:
        # If the session was shut down during the call, the driver may have used a closed connection, and the request
        # would wait for its timeout.
        return _Unanswered() if self.driver_session.is_shutdown else Answer(future)

    def replica_of(self, partition: tuple[bytes, ...]) -> Any:
        """Return the first replica of a partition, or None if all nodes are equal."""
        if self._has_one_node:
            return None
        replicas = self.cluster.metadata.get_replicas(self.keyspace, routing_key(partition))
        return replicas[0] if replicas else None

    @unlocked_property
    def _has_one_node(self) -> bool:
        return len(self.cluster.metadata.all_hosts()) < 2

    def close(self) -> None:
        """Close the session, unless the caller made it."""
        if not self._is_owned:
            return
        # Let a running preparation end first: the driver forgets it at the shutdown, and it would wait for its timeout.
        is_held = self._lock.acquire(timeout=_LONGEST_WAIT_SECONDS)
        try:
            self.cluster.shutdown()
        finally:
            if is_held:
                self._lock.release()


class _Unanswered:
    """The answer to a request on a session that was shut down."""

    def result(self) -> Any:
        """Raise the driver's error for a request that a shutdown ended."""
        raise ConnectionShutdown("the session was shut down")


def own_session(address: Address, options: Mapping[str, Any]) -> Callable[[], Any]:
    """Return a function that connects to a cluster and returns the driver's session."""
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
        raise InvalidValueError(f"cannot read the certificates: {error}") from error
    return context


def check_session(session: Any) -> None:
    """Raise unless ``session`` is an open session of the driver that takes execution profiles."""
    if not hasattr(session, "execution_profile_clone_update"):
        raise InvalidTypeError(f"session must be the result of Cluster.connect(), not {type(session).__name__}")
    if session.is_shutdown:
        raise InvalidValueError("the given session is closed; pass an open one")
    if session.cluster._config_mode == _ConfigMode.LEGACY:
        raise InvalidValueError(
            "the given session takes no execution profiles; pass its Cluster execution_profiles= instead of "
            "load_balancing_policy= or default_retry_policy=, and set no default, such as row_factory, on the session"
        )
