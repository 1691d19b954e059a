"""Reading the tables of other applications."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cassandra.cluster import EXEC_PROFILE_DEFAULT
from cassandra.query import SimpleStatement, dict_factory

from feedstore.backends.cassandra.address import parse_address
from feedstore.backends.cassandra.driver import own_session
from feedstore.backends.cassandra.errors import DRIVER_ERRORS, translated, unreachable
from feedstore.backends.cassandra.options import read_options

_ROWS_A_READ = 1000
_Row = dict[str, Any]


class ForeignKeyspace:
    """A keyspace of another application in a cluster of Cassandra, 4.0 or newer. It is only read.

    Every method raises :class:`~feedstore.errors.StorageError` or a subclass of it if the cluster does not answer.

    Args:
        url: ``cassandra://user:password@host1:9042,host2/keyspace``, with the options of connections in its query.

    Attributes:
        label: The address without the user and the password.
    """

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        self.label, self._keyspace = address.label, address.keyspace
        options = read_options(address.query, {})
        try:
            self._session = own_session(address, options)()
        except DRIVER_ERRORS as error:
            raise unreachable(error, self.label) from error
        self._profile = self._session.execution_profile_clone_update(
            EXEC_PROFILE_DEFAULT, row_factory=dict_factory, request_timeout=options["timeout"]
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.cluster.shutdown()

    def tables(self) -> dict[str, set[str]]:
        """Return the names of the tables, each with the names of its columns. One round trip."""
        query = "SELECT table_name, column_name FROM system_schema.columns WHERE keyspace_name = %s"
        found: dict[str, set[str]] = {}
        for rows in self._pages(query, (self._keyspace,)):
            for row in rows:
                found.setdefault(row["table_name"], set()).add(row["column_name"])
        return found

    def rows(
        self, table: str, columns: Sequence[str], partition: str, after: int | None = None
    ) -> Iterator[list[_Row]]:
        """Yield the rows of a table in reads of 1,000, in the order of the token of the partition key.

        The rows of a partition follow one another. Each row has its ``token`` in addition.

        Args:
            table: The table.
            columns: The columns to read.
            partition: The name of the column of the partition key.
            after: A token, whose rows and those before it are left out.
        """
        names = ", ".join(f'"{name}"' for name in columns)
        token = f'token("{partition}")'
        query = f'SELECT {names}, {token} AS "token" FROM "{self._keyspace}"."{table}"'
        if after is None:
            yield from self._pages(query, ())
        else:
            yield from self._pages(f"{query} WHERE {token} > %s", (after,))

    def _pages(self, query: str, parameters: tuple[Any, ...]) -> Iterator[list[_Row]]:
        statement = SimpleStatement(query, fetch_size=_ROWS_A_READ, is_idempotent=True)
        state: Any = None
        while True:
            try:
                result = self._session.execute(
                    statement, parameters, execution_profile=self._profile, paging_state=state
                )
                rows, state = list(result.current_rows), result.paging_state
            except DRIVER_ERRORS as error:
                raise translated(error, self.label) from error
            yield rows
            if state is None:
                return
