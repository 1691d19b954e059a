"""The schema of a keyspace: its state, and its creation at the opening of a backend."""

from __future__ import annotations

import logging
import time
from typing import Any

from cassandra import InvalidRequest
from cassandra.query import SimpleStatement

from feedstore.backends.cassandra.adjustments import Answer
from feedstore.backends.cassandra.driver import DriverSession
from feedstore.backends.cassandra.errors import DRIVER_ERRORS, is_passing
from feedstore.backends.cassandra.floor import FLOOR_TIMESTAMP
from feedstore.backends.cassandra.options import Settings
from feedstore.backends.cassandra.tables import SCHEMA, TABLES
from feedstore.errors import (
    MissingSchemaError,
    NewerSchemaError,
    SchemaError,
    StorageUnavailableError,
)
from feedstore.shown import shown

VERSION = 1
"""The version of the tables that this release creates and needs."""

_PAUSE_SECONDS = 0.1
_logger = logging.getLogger("feedstore.backends.cassandra")


def prepare_schema(session: DriverSession, settings: Settings, label: str) -> None:
    """Check that the keyspace has the tables of this release, or create them. Called at the first connection.

    ============  ============================  ========================
    ``schema``    no keyspace, or no tables     newer or foreign tables
    ============  ============================  ========================
    ``None``      created                       refused
    "migrate"     created                       refused
    "check"       :class:`MissingSchemaError`   refused
    "ignore"      not checked                   not checked
    ============  ============================  ========================

    The keyspace is created only with the option ``replication``. Several processes may do this concurrently: every
    statement has IF NOT EXISTS, and all processes send theirs to the same node, which runs one at a time. The version
    is written last, when every node that is up knows the tables. Until then, failures are retried for
    ``retry_seconds``. If the schema is current, the function costs two queries.
    """
    if settings.schema == "ignore":
        return
    preparation = _Preparation(session, settings, label)
    deadline = None
    while (error := _passing_failure(preparation)) is not None:
        if deadline is None:
            deadline = time.monotonic() + settings.retry_seconds
        if time.monotonic() + _PAUSE_SECONDS > deadline:
            raise error
        time.sleep(_PAUSE_SECONDS)


def _passing_failure(preparation: _Preparation) -> Exception | None:
    """Prepare the schema. Return a temporary error, or None after success."""
    try:
        preparation.prepare()
    except (*DRIVER_ERRORS, StorageUnavailableError) as error:
        if not _may_pass(error):
            raise
        return error
    return None


def _may_pass(error: Exception) -> bool:
    """Return whether an error is temporary: a node does not know new tables of another process, or is not connected."""
    return isinstance(error, (StorageUnavailableError, InvalidRequest)) or is_passing(error)


class _Preparation:
    """One attempt to check a keyspace and to create its tables."""

    def __init__(self, session: DriverSession, settings: Settings, label: str) -> None:
        self._session = session
        self._settings = settings
        self._label = label

    def prepare(self) -> None:
        """Check the version of the tables, and create missing ones."""
        version = self.found_version()
        if version is None:
            self.create()
        elif version < VERSION:
            # No older version exists. The release with the second version will bring the migration.
            raise SchemaError(
                f"{self._label}: the tables have version {version}, which no release of feedstore creates; use another "
                "keyspace"
            )
        elif version > VERSION:
            raise NewerSchemaError(
                f"{self._label}: a newer release of feedstore has created the tables, with version {version}; this "
                f"release knows version {VERSION}: upgrade feedstore"
            )

    def found_version(self) -> int | None:
        """Return the version of the tables, or None if some are missing."""
        if not self._tables() >= {table.name for table in TABLES}:
            return None
        rows = self._run(f"SELECT version FROM \"{self._session.keyspace}\".{SCHEMA} WHERE name = 'tables'")
        return rows[0][0] if rows else None

    def create(self) -> None:
        """Create the keyspace and the tables that do not exist."""
        keyspace = self._session.keyspace
        if self._settings.schema == "check":
            raise MissingSchemaError(
                f"{self._label}: the keyspace has no tables of feedstore; connect with schema='migrate'"
            )
        self._refuse_foreign()
        if not self._ask("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s"):
            self._create_keyspace()
        self._change(*(table.creation(keyspace) for table in TABLES))
        self._check_every_node()
        # All releases write the version at one timestamp, so the highest version wins.
        self._run(
            f'UPDATE "{keyspace}".{SCHEMA} USING TIMESTAMP {FLOOR_TIMESTAMP} SET version = {VERSION} '
            "WHERE name = 'tables'"
        )
        _logger.info("%s: created the tables of version %s", self._label, VERSION)

    def _create_keyspace(self) -> None:
        replication = self._settings.replication
        if replication is None:
            raise MissingSchemaError(
                f"{self._label}: the keyspace {shown(self._session.keyspace)} does not exist; create it, or pass the "
                "option replication, such as replication=3"
            )
        self._change(replication.creation(self._session.keyspace))

    def _refuse_foreign(self) -> None:
        found: dict[str, set[str]] = {}
        columns = self._ask("SELECT table_name, column_name FROM system_schema.columns WHERE keyspace_name = %s")
        for table_name, column in columns:
            found.setdefault(table_name, set()).add(column)
        for table in TABLES:
            if table.name in found and found[table.name] != set(table.columns):
                raise SchemaError(
                    f"{self._label}: another application has created a table {table.name}; use another keyspace"
                )

    def _change(self, *statements: str) -> None:
        """Change the schema at the node that all processes choose, and wait until the other nodes know.

        The statements are concurrent. The nodes exchange their versions once a second, and each statement waits for
        that.
        """
        first = min(self._hosts(), key=lambda host: str(host.host_id), default=None)
        session, profile = self._session.driver_session, self._session.profile
        futures = [
            session.execute_async(SimpleStatement(statement), execution_profile=profile, host=first)
            for statement in statements
        ]
        for future in futures:
            Answer(future).result()
        self._check_agreement(all(future.is_schema_agreed for future in futures))

    def _check_every_node(self) -> None:
        """Raise unless all nodes have one version of the schema.

        If another process has just created the tables, this one's statements changed nothing, and the driver did not
        wait. A list of the tables would prove less: a node may list a table before it can use it.
        """
        asked = "SELECT schema_version FROM system.local WHERE key = 'local'"
        self._check_agreement(len({self._run(asked, host=host)[0][0] for host in self._hosts()}) == 1)

    def _check_agreement(self, is_agreed: bool) -> None:
        if not is_agreed:
            raise StorageUnavailableError(
                f"{self._label}: the nodes do not agree on the schema; see `nodetool describecluster`"
            )

    def _hosts(self) -> list[Any]:
        return [host for host in self._session.cluster.metadata.all_hosts() if host.is_up]

    def _tables(self) -> set[str]:
        return {row[0] for row in self._ask("SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s")}

    def _ask(self, statement: str) -> list[Any]:
        return self._run(statement, (self._session.keyspace,))

    def _run(self, statement: str, parameters: tuple[str, ...] | None = None, host: Any = None) -> list[Any]:
        session = self._session.driver_session
        asked = SimpleStatement(statement, is_idempotent=True)
        future = session.execute_async(asked, parameters, execution_profile=self._session.profile, host=host)
        return self._session.rows_of(asked, Answer(future).result())
