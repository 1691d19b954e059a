"""The state of a keyspace's schema, and what opening a backend does about it."""

from __future__ import annotations

import logging
import time
from typing import Any

from cassandra import InvalidRequest
from cassandra.query import SimpleStatement

from feedstore.backends.cassandra.answers import Answer
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
"""The version of the tables that this release makes and needs."""

_PAUSE_SECONDS = 0.1
_logger = logging.getLogger("feedstore.backends.cassandra")


def prepare_schema(session: DriverSession, settings: Settings, label: str) -> None:
    """Make sure that the keyspace holds the tables that this release needs; called once when a backend first opens.

    ============  ============================  =======================
    ``schema``    no keyspace, or no tables     a newer or foreign one
    ============  ============================  =======================
    ``None``      made                          refused
    "migrate"     made                          refused
    "check"       :class:`MissingSchemaError`   refused
    "ignore"      not looked at                 not looked at
    ============  ============================  =======================

    A keyspace is made only where the option ``replication`` says how. Several processes may do this at once: every
    statement asks whether the thing is there, and all send theirs to the same node, which takes one at a time. The
    version is written last, when every node that is up knows the tables. What fails meanwhile because one of them does
    not is done again, for ``retry_seconds``. Costs two queries when the schema is current.
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
    """Prepare; return what went wrong where it may not the next time, None if nothing did."""
    try:
        preparation.prepare()
    except (*DRIVER_ERRORS, StorageUnavailableError) as error:
        if not _may_pass(error):
            raise
        return error
    return None


def _may_pass(error: Exception) -> bool:
    """Return whether the nodes may only not know yet what another process has just made, or not be connected yet."""
    return isinstance(error, (StorageUnavailableError, InvalidRequest)) or is_passing(error)


class _Preparation:
    """One look at a keyspace, and what follows."""

    def __init__(self, session: DriverSession, settings: Settings, label: str) -> None:
        self._session = session
        self._settings = settings
        self._label = label

    def prepare(self) -> None:
        """Look, and make what is not there."""
        version = self.found_version()
        if version is None:
            self.make()
        elif version < VERSION:
            # There is no older one: the first release that brings a second version brings the way to it.
            raise SchemaError(
                f"{self._label}: the tables have version {version}, which no release of feedstore has made"
            )
        elif version > VERSION:
            raise NewerSchemaError(
                f"{self._label}: the tables have version {version}, which a newer release of feedstore has made; this "
                f"one knows version {VERSION}: upgrade feedstore"
            )

    def found_version(self) -> int | None:
        """Return the version of the tables that are there, None where some are missing."""
        if not self._tables() >= {table.name for table in TABLES}:
            return None
        rows = self._run(f"SELECT version FROM \"{self._session.keyspace}\".{SCHEMA} WHERE name = 'tables'")
        return rows[0][0] if rows else None

    def make(self) -> None:
        """Make the keyspace and the tables, as far as they are not there."""
        keyspace = self._session.keyspace
        if self._settings.schema == "check":
            raise MissingSchemaError(f"{self._label}: there are no tables of feedstore; connect with schema='migrate'")
        self._refuse_foreign()
        if not self._ask("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s"):
            self._make_keyspace()
        self._change(*(table.creation(keyspace) for table in TABLES))
        self._check_every_node()
        # All write it at one timestamp: of a newer release's and this one's, the higher version stays.
        self._run(
            f'UPDATE "{keyspace}".{SCHEMA} USING TIMESTAMP {FLOOR_TIMESTAMP} SET version = {VERSION} '
            "WHERE name = 'tables'"
        )
        _logger.info("%s: made the tables of version %s", self._label, VERSION)

    def _make_keyspace(self) -> None:
        replication = self._settings.replication
        if replication is None:
            raise MissingSchemaError(
                f"{self._label}: there is no keyspace {shown(self._session.keyspace)}; make it, or say how with the "
                "option "
                "replication, such as replication=3"
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
                    f"{self._label}: there is a table {table.name} that feedstore has not made; use another keyspace"
                )

    def _change(self, *statements: str) -> None:
        """Change the schema, at the node that all processes choose, and wait until the others know.

        All statements are sent at once: the nodes tell each other what version they have once a second, and each
        statement by itself waits for that.
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
        """Raise unless all nodes have one version of the schema: where another process has just made the tables, this
        one's statements changed nothing, and the driver did not wait.

        That a node lists the tables says less: it may do so before it knows them.
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
