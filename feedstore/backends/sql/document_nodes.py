"""The nodes of documents in SQL: their synchronisation, their subscriptions, and the indexes on paths."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from feedstore.backends.sql.column_types import to_microseconds
from feedstore.backends.sql.compiler import in_parts
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.document_search import NODES, filter_parts
from feedstore.backends.sql.document_sql import MARK, DocumentDialect, Sql, one_of
from feedstore.backends.sql.document_statements import (
    NODE_COLUMNS,
    is_node,
    node_id,
    read_node,
    stored_field,
)
from feedstore.backends.sql.session import SqlSession
from feedstore.backends.sql.tables import PATH_INDEX_PREFIX
from feedstore.storage.documents.hooks import Claim, DocumentHooks
from feedstore.storage.documents.query import DocumentFilter
from feedstore.storage.documents.values import (
    DocumentNode,
    NodeFields,
    NodeKey,
    NodeSubscription,
    PathIndex,
    PathKind,
    SubscriptionState,
    SyncState,
)
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_DIGEST_BYTES = 12
_NODES_A_STATEMENT = 1000


class SqlNodes(DocumentHooks):
    """The hooks on nodes, subscriptions and indexes on paths."""

    session: SqlSession

    @property
    def _sql(self) -> DocumentDialect:
        return self.session.dialect.documents

    def _run(self, connection: Connection, sql: Sql) -> Any:
        return connection.execute(*self._sql.finished(sql))

    def _fetched(self, sql: Sql) -> list[Any]:
        return self.session.store.fetch(*self._sql.finished(sql))

    def _locked_node(self, connection: Connection, key: NodeKey) -> tuple[int, str | None] | None:
        """Lock a node for a writing transaction, and return its number and its token."""
        chosen = is_node(key, self.session.namespace)
        selected = chosen.wrapped("SELECT n.id, n.sync_token FROM feedstore_pubsub_node n WHERE ", self._sql.lock)
        row = self._run(connection, selected).fetchone()
        return None if row is None else (row[0], row[1])

    def _add_node(
        self, key: NodeKey, fields: NodeFields, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[tuple[DocumentNode, bool]]:
        """Insert a node unless it exists, and read it, with two statements."""
        self.session.namespace_to_write()
        return self.session.write(transaction, self._add, key, fields)

    def _add(self, connection: Connection, key: NodeKey, fields: NodeFields) -> tuple[DocumentNode, bool]:
        given: Mapping[str, Any] = {"subscribed": False, **fields}
        names = ["namespace_id", "account", "service", "name", *given]
        values = [f"(SELECT id FROM feedstore_namespace WHERE name = {MARK})", *[MARK] * 3]
        values += [self._sql.new_extra if name == "extra" else MARK for name in given]
        stored = tuple(stored_field(name, value) for name, value in given.items())
        text = (
            f"INSERT INTO feedstore_pubsub_node ({', '.join(names)}) VALUES ({', '.join(values)}) "
            "ON CONFLICT (namespace_id, account, service, name) DO NOTHING"
        )
        added = self._run(connection, Sql(text, (self.session.namespace, *key, *stored))).rowcount == 1
        selected = is_node(key, self.session.namespace).wrapped(f"SELECT {NODE_COLUMNS} FROM {NODES} WHERE ", "")
        return read_node(self._run(connection, selected).fetchone()), added

    def _get_node(self, key: NodeKey) -> DocumentNode | None:
        """Read a node with one statement."""
        chosen = is_node(key, self.session.namespace)
        rows = self._fetched(chosen.wrapped(f"SELECT {NODE_COLUMNS} FROM {NODES} WHERE ", ""))
        return read_node(rows[0]) if rows else None

    def _nodes(
        self, where: DocumentFilter, states: frozenset[SyncState | None] | None, after: NodeKey | None, limit: int
    ) -> list[DocumentNode]:
        """Read nodes with one statement."""
        parts = filter_parts(self.session.namespace, where)
        if states is not None:
            parts.append(one_of("n.sync_state", [None if one is None else one.value for one in states]))
        if after is not None:
            parts.append(Sql(f"(n.account, n.service, n.name) > ({MARK}, {MARK}, {MARK})", tuple(after)))
        chosen = Sql.joined(" AND ", parts).wrapped(f"SELECT {NODE_COLUMNS} FROM {NODES} WHERE ", "")
        order = Sql(f" ORDER BY n.account, n.service, n.name LIMIT {MARK}", (limit,))
        return [read_node(row) for row in self._fetched(Sql.joined("", [chosen, order]))]

    def _update_node(
        self, key: NodeKey, expected: Mapping[str, Any], fields: NodeFields, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """Update a node with one statement."""
        changed = self.session.execute(transaction, *self._sql.finished(self._update(key, expected, fields)))
        return Pending(changed.result == 1)

    def _update(self, key: NodeKey, expected: Mapping[str, Any], fields: Mapping[str, Any]) -> Sql:
        changes = [f"{name} = {self._sql.new_extra if name == 'extra' else MARK}" for name in fields]
        values = tuple(stored_field(name, value) for name, value in fields.items())
        parts = [Sql("id = "), node_id(key, self.session.namespace)]
        if "sync_state" in expected:
            states = [None if one is None else one.value for one in expected["sync_state"]]
            parts += [Sql(" AND "), one_of("sync_state", states)]
        if "sync_token" in expected:
            parts.append(Sql(f" AND sync_token = {MARK}", (expected["sync_token"],)))
        chosen = Sql.joined("", parts)
        start = Sql(
            f"UPDATE feedstore_pubsub_node SET {', '.join(changes or ['subscribed = subscribed'])} WHERE ", values
        )
        return Sql.joined("", [start, chosen])

    def _claim_sync(self, key: NodeKey, claim: Claim, transaction: Transaction = AUTOCOMMIT) -> Pending[bool]:
        """Update the node on its conditions, and remove its documents, with two statements."""
        return self.session.write(transaction, self._claim, key, claim)

    def _claim(self, connection: Connection, key: NodeKey, claim: Claim) -> bool:
        may_begin = [one_of("sync_state", [None if one is None else one.value for one in claim.states])]
        if claim.stale_before is not None:
            stale = f"(sync_state = {MARK} AND COALESCE(sync_state_updated, 0) < {MARK})"
            values = (SyncState.IN_PROGRESS.value, to_microseconds(claim.stale_before))
            may_begin.append(Sql(stale, values))
        state = (SyncState.IN_PROGRESS.value, time.time_ns() // 1000, claim.reason, claim.token)
        columns = f"sync_state = {MARK}, sync_state_updated = {MARK}, sync_reason = {MARK}, sync_token = {MARK}"
        parts = [
            Sql(f"UPDATE feedstore_pubsub_node SET {columns} WHERE id = ", state),
            node_id(key, self.session.namespace),
            Sql.joined(" OR ", may_begin).wrapped(" AND ("),
        ]
        is_claimed = bool(self._run(connection, Sql.joined("", parts)).rowcount == 1)
        if is_claimed and not claim.keep_items:
            self._delete_items_of(connection, key)
        return is_claimed

    def _delete_items_of(self, connection: Connection, key: NodeKey) -> None:
        node = node_id(key, self.session.namespace)
        self._run(connection, node.wrapped("DELETE FROM feedstore_pubsub_item WHERE node_id = ", ""))

    def _finish_sync(
        self, key: NodeKey, token: str, fields: NodeFields, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """Update the node on its token, with one statement, and another one after an error."""
        return self.session.write(transaction, self._finish, key, token, fields)

    def _finish(self, connection: Connection, key: NodeKey, token: str, fields: NodeFields) -> bool:
        is_valid = bool(self._run(connection, self._update(key, {"sync_token": token}, fields)).rowcount == 1)
        if is_valid and fields["sync_state"] is SyncState.ERROR:
            self._delete_items_of(connection, key)
        return is_valid

    def _delete_nodes(self, where: DocumentFilter, transaction: Transaction = AUTOCOMMIT) -> Pending[int]:
        """Lock the nodes in one order, and delete them and their rows, with three statements for each 1,000."""
        return self.session.write(transaction, self._delete, where)

    def _delete(self, connection: Connection, where: DocumentFilter) -> int:
        chosen = Sql.joined(" AND ", filter_parts(self.session.namespace, where))
        locked = chosen.wrapped(f"SELECT n.id FROM {NODES} WHERE ", f" ORDER BY n.id{self._sql.lock}")
        ids = [number for (number,) in self._run(connection, locked).fetchall()]
        # By number: a node that another transaction adds between two statements would lose only some of its rows.
        for part in in_parts(ids, _NODES_A_STATEMENT) if ids else ():
            for table, column in (("item", "node_id"), ("sub", "node_id"), ("node", "id")):
                self._run(connection, one_of(column, part).wrapped(f"DELETE FROM feedstore_pubsub_{table} WHERE ", ""))
        return len(ids)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Delete all nodes of the namespace in one transaction."""
        self._delete_nodes(DocumentFilter(), transaction)
        return Pending(None)

    def _set_subscription(
        self, key: NodeKey, subscriber: str, state: SubscriptionState | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """Insert, replace or delete a subscription, with one statement after one that locks the node."""
        return self.session.write(transaction, self._subscribe, key, subscriber, state)

    def _subscribe(
        self, connection: Connection, key: NodeKey, subscriber: str, state: SubscriptionState | None
    ) -> bool:
        found = self._locked_node(connection, key)
        if found is None:
            return False
        if state is None:
            text = f"DELETE FROM feedstore_pubsub_sub WHERE node_id = {MARK} AND subscriber = {MARK}"
            return bool(self._run(connection, Sql(text, (found[0], subscriber))).rowcount)
        text = (
            f"INSERT INTO feedstore_pubsub_sub (node_id, subscriber, state) VALUES ({MARK}, {MARK}, {MARK}) "
            "ON CONFLICT (node_id, subscriber) DO UPDATE SET state = excluded.state"
        )
        self._run(connection, Sql(text, (found[0], subscriber, state.value)))
        return True

    def _subscriptions(self, key: NodeKey) -> list[NodeSubscription]:
        """Read subscriptions with one statement."""
        node = node_id(key, self.session.namespace)
        start = "SELECT subscriber, state FROM feedstore_pubsub_sub WHERE node_id = "
        rows = self._fetched(node.wrapped(start, " ORDER BY subscriber"))
        return [NodeSubscription(subscriber, SubscriptionState(state)) for subscriber, state in rows]

    def _ensure_path_index(self, index: PathIndex) -> bool:
        """Create an index in one transaction, with a row that describes it."""
        return self.session.store.write(self._create_index, index)

    def _create_index(self, connection: Connection, index: PathIndex) -> bool:
        kind = index.kind.value
        values = f"VALUES ({MARK}, {MARK}, {MARK}) ON CONFLICT DO NOTHING"
        text = f"INSERT INTO feedstore_pubsub_path (name, kind, path) {values}"
        row = (_index_name(index), kind, json.dumps(index.path))
        if not self._run(connection, Sql(text, row)).rowcount:
            return False
        expression = self._sql.number if index.kind is PathKind.NUMBER else self._sql.key_text
        indexed = expression(index.path, "parsed")
        self._run(connection, Sql(f"CREATE INDEX {_index_name(index)} ON feedstore_pubsub_item (({indexed}))"))
        return True

    def _drop_path_index(self, index: PathIndex) -> bool:
        """Drop an index and its row in one transaction."""
        return self.session.store.write(self._drop_index, index)

    def _drop_index(self, connection: Connection, index: PathIndex) -> bool:
        text = f"DELETE FROM feedstore_pubsub_path WHERE name = {MARK}"
        existed = bool(self._run(connection, Sql(text, (_index_name(index),))).rowcount)
        self._run(connection, Sql(f"DROP INDEX IF EXISTS {_index_name(index)}"))
        return existed

    def _path_indexes(self) -> list[PathIndex]:
        """Read the rows of indexes with one statement."""
        rows = self._fetched(Sql("SELECT path, kind FROM feedstore_pubsub_path ORDER BY path, kind"))
        return [PathIndex(tuple(json.loads(path)), PathKind(kind)) for path, kind in rows]


def _index_name(index: PathIndex) -> str:
    digest = blake2b(json.dumps(index.path).encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{PATH_INDEX_PREFIX}{index.kind.value}_{digest}"
