"""The storage of documents in SQL."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from feedstore.backends.sql.column_types import to_microseconds
from feedstore.backends.sql.compiler import in_parts
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.document_nodes import SqlNodes
from feedstore.backends.sql.document_search import DOCUMENTS, SearchSql, filter_parts
from feedstore.backends.sql.document_sql import MARK, Sql, one_of
from feedstore.backends.sql.document_statements import (
    INSERT_DOCUMENTS,
    NODE_PARAMETERS,
    ORDER_COLUMNS,
    PLACE_PARAMETERS,
    REPLACE_DOCUMENTS,
    document_columns,
    node_id,
    page_sql,
    read_document,
)
from feedstore.errors import DocumentNotFound
from feedstore.shown import shown
from feedstore.storage.documents.hooks import DocumentRow, ParsedRow, RsmPage
from feedstore.storage.documents.query import DocumentFilter, DocumentQuery
from feedstore.storage.documents.storage import DocumentStorage
from feedstore.storage.documents.values import Document, DocumentPage, FoundDocument, FoundPage, NodeKey
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_ROWS_A_READ = 500
_ROWS_A_STATEMENT = (100, 10, 1)
_BYTES_A_STATEMENT = 8 << 20
_DAY = 86_400_000_000


class SqlDocumentStorage(SqlNodes, DocumentStorage):
    """A storage of documents with a row for each node, document and subscription.

    A write locks the row of its node, so concurrent writes of one node run one after another. A page is one statement,
    or two if it begins or ends at an id. A search is one statement for the rows and one for their documents.
    """

    def _put_items(
        self,
        key: NodeKey,
        documents: Sequence[DocumentRow],
        token: str | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[bool]:
        """Store documents, with one statement for each 100 after two that read the node."""
        self.session.namespace_to_write()
        return self.session.write(transaction, self._put, key, documents, token)

    def _put(self, connection: Connection, key: NodeKey, documents: Sequence[DocumentRow], token: str | None) -> bool:
        found = self._locked_node(connection, key)
        if found is None or (token is not None and found[1] != token):
            return False
        rows = self._stored_rows(connection, found[0], documents)
        while rows:
            count = _part_size(rows)
            values = ", ".join([self._sql.new_row] * count)
            statement = Sql(
                f"{INSERT_DOCUMENTS}{values}{REPLACE_DOCUMENTS}", tuple(value for row in rows[:count] for value in row)
            )
            self._run(connection, statement)
            rows = rows[count:]
        return True

    def _stored_rows(
        self, connection: Connection, node: int, documents: Sequence[DocumentRow]
    ) -> list[tuple[Any, ...]]:
        """Return the values of documents. Times that are not given are later than all others of the node (D3)."""
        now = time.time_ns() // 1000
        # A clock that was set back does not change the order, but a time far in the future is not followed.
        newest = " UNION ALL ".join(
            f"SELECT max({column}) FROM feedstore_pubsub_item WHERE node_id = {MARK} AND {column} < {MARK}"
            for column in ("created", "updated")
        )
        times = self._run(connection, Sql(newest, (node, now + _DAY) * 2)).fetchall()
        first = max([now, *(one + 1 for (one,) in times if one is not None)])
        return [
            (
                node,
                row.item_id,
                row.payload,
                row.publisher,
                row.parsed,
                self._sql.words(row.words),
                first + number if row.created is None else to_microseconds(row.created),
                first + number if row.updated is None else to_microseconds(row.updated),
            )
            for number, row in enumerate(documents)
        ]

    def _remove_items(
        self, key: NodeKey, item_ids: Sequence[str], token: str | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int]:
        """Remove documents, with one statement for each 500."""
        return self.session.write(transaction, self._remove, key, item_ids, token)

    def _remove(self, connection: Connection, key: NodeKey, item_ids: Sequence[str], token: str | None) -> int:
        found = self._locked_node(connection, key)
        if found is None or not item_ids or (token is not None and found[1] != token):
            return 0
        removed = 0
        for part in in_parts(item_ids, _ROWS_A_READ):
            start = Sql(f"DELETE FROM feedstore_pubsub_item WHERE node_id = {MARK} AND ", (found[0],))
            statement = Sql.joined("", [start, one_of("item_id", part)])
            removed += self._run(connection, statement).rowcount
        return removed

    def _purge(self, where: DocumentFilter, transaction: Transaction = AUTOCOMMIT) -> Pending[int]:
        """Remove the documents of a filter, with one statement."""
        chosen = Sql.joined(" AND ", filter_parts(self.session.namespace, where))
        statement = chosen.wrapped(
            f"DELETE FROM feedstore_pubsub_item WHERE id IN (SELECT i.id FROM {DOCUMENTS} WHERE "
        )
        removed = self.session.execute(transaction, *self._sql.finished(statement)).result
        return Pending(removed or 0)

    def _set_parsed(
        self, key: NodeKey, documents: Sequence[ParsedRow], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int]:
        """Replace content, with one statement for each document."""
        return self.session.write(transaction, self._replace_content, key, documents)

    def _replace_content(self, connection: Connection, key: NodeKey, documents: Sequence[ParsedRow]) -> int:
        found, changed = self._locked_node(connection, key), 0
        if found is None:
            return 0
        for row in documents:
            statement = Sql(
                f"UPDATE feedstore_pubsub_item SET {self._sql.new_content} "
                f"WHERE node_id = {MARK} AND item_id = {MARK} AND updated = {MARK}",
                (row.parsed, self._sql.words(row.words), found[0], row.item_id, to_microseconds(row.updated)),
            )
            changed += self._run(connection, statement).rowcount
        return changed

    def _page(self, key: NodeKey, request: RsmPage) -> DocumentPage:
        """Read a page with one statement, and the place of the id that it begins or ends at with another one."""
        place = self._place(key, request)
        descending = request.before is not None or request.is_last
        end = "after" if request.after is not None else "before" if request.before is not None else ""
        found = self._fetched_by_name((request.order_by, end, descending), key, place, request)
        count, before = found[0][:2]
        documents = _sorted_documents([row[2:] for row in found if row[2] is not None], request.order_by)
        if descending:
            before = (count if request.is_last else before) - len(documents)
        is_complete = before + len(documents) >= count
        return DocumentPage(tuple(documents), before if documents else None, count, is_complete)

    def _place(self, key: NodeKey, request: RsmPage) -> tuple[Any, ...]:
        """Return the values of the order's columns of the id at which the page begins or ends; () without an id."""
        item_id = request.before if request.after is None else request.after
        if item_id is None:
            return ()
        parts = [
            Sql(f"SELECT {', '.join(ORDER_COLUMNS[request.order_by])} FROM feedstore_pubsub_item i WHERE i.node_id = "),
            node_id(key, self.session.namespace),
            Sql(f" AND i.item_id = {MARK}", (item_id,)),
        ]
        rows = self._fetched(Sql.joined("", parts))
        if not rows:
            raise DocumentNotFound(f"the node {shown(key.name)} has no item {shown(item_id)}")
        return tuple(rows[0])

    def _fetched_by_name(
        self, form: tuple[str, str, bool], key: NodeKey, place: tuple[Any, ...], request: RsmPage
    ) -> list[Any]:
        statement = self._sql.statements.get(form)
        if statement is None:
            statement = self._sql.statements[form] = self._sql.finished(page_sql(self._sql.parsed_column, *form))
        text, names = statement
        values: dict[str, Any] = dict(zip(NODE_PARAMETERS, (self.session.namespace, *key), strict=True))
        values |= {"limit": request.limit, "position": request.position}
        values |= zip(PLACE_PARAMETERS, place, strict=False)
        return self.session.store.fetch(text, tuple([values[name] for name in names]))

    def _newest(self, key: NodeKey, limit: int, order_by: str) -> list[Document]:
        """Read the last documents with one statement."""
        request = RsmPage(order_by, limit, None, None, 0, True)
        rows = self._fetched_by_name((order_by, "newest", True), key, (), request)
        return _sorted_documents(rows, order_by)

    def _get_items(self, key: NodeKey, item_ids: Sequence[str]) -> dict[str, Document]:
        """Read documents with one statement for each 500."""
        found: dict[str, Document] = {}
        for part in in_parts(item_ids, _ROWS_A_READ):
            node = node_id(key, self.session.namespace).wrapped("i.node_id = ", " AND ")
            condition = Sql.joined("", [node, one_of("i.item_id", part)])
            for row in self._documents(condition):
                document = read_document(row)
                found[document.item_id] = document
        return found

    def _documents(self, condition: Sql) -> list[Any]:
        columns = document_columns(self._sql.parsed_column)
        statement = condition.wrapped(f"SELECT {columns} FROM feedstore_pubsub_item i WHERE ", "")
        return self._fetched(statement)

    def _search(self, query: DocumentQuery) -> FoundPage:
        """Search with one statement for the rows, and one for each 500 documents."""
        search = SearchSql(self._sql, self.session.namespace, query)
        rows = self._found_rows(search)
        chosen = rows[: query.limit]
        documents: dict[int, Document] = {}
        for part in in_parts([row[0] for row in chosen], _ROWS_A_READ):
            if part:
                documents.update((row[0], read_document(row)) for row in self._documents(one_of("i.id", part)))
        results = [FoundDocument(NodeKey(*row[1:4]), documents[row[0]]) for row in chosen if row[0] in documents]
        return FoundPage(tuple(results), search.next_cursor(rows))

    def _found_rows(self, search: SearchSql) -> list[Any]:
        define_lower = self._sql.define_lower
        if define_lower is None or not search.needs_lower:
            return self._fetched(search.statement())

        def fetch(connection: Connection) -> list[Any]:
            define_lower(connection.raw)
            rows: list[Any] = self._run(connection, search.statement()).fetchall()
            return rows

        return self.session.store.read(fetch)

    def _walk(self, where: DocumentFilter) -> Iterator[FoundDocument]:
        """Read documents with one statement for each 500."""
        columns = f"SELECT {document_columns(self._sql.parsed_column)}, n.account, n.service, n.name FROM {DOCUMENTS}"
        parts = filter_parts(self.session.namespace, where)
        last = 0
        while True:
            chosen = Sql.joined(" AND ", [*parts, Sql(f"i.id > {MARK}", (last,))])
            statement = chosen.wrapped(f"{columns} WHERE ", f" ORDER BY i.id LIMIT {_ROWS_A_READ}")
            rows = self._fetched(statement)
            yield from (FoundDocument(NodeKey(*row[7:]), read_document(row[:7])) for row in rows)
            if len(rows) < _ROWS_A_READ:
                return
            last = rows[-1][0]


def _part_size(rows: Sequence[tuple[Any, ...]]) -> int:
    """Return a number of rows from few sizes, so that few statements are prepared, of 8 MiB of payload at most."""
    for size in _ROWS_A_STATEMENT:
        if size <= len(rows) and (size == 1 or sum(len(row[2]) for row in rows[:size]) <= _BYTES_A_STATEMENT):
            return size
    return 1


def _sorted_documents(rows: Sequence[Sequence[Any]], order_by: str) -> list[Document]:
    """Return the documents of rows in ascending order. The rows are few, and come in either direction."""
    if order_by == "item_id":
        return [read_document(row) for row in sorted(rows, key=lambda row: str(row[1]).encode())]
    column = 5 if order_by == "creation" else 6
    return [read_document(row) for row in sorted(rows, key=lambda row: (row[column], row[0]))]
