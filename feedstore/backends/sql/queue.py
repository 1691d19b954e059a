"""Queues in SQL."""

from __future__ import annotations

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.dialect import MessageRows, QueueKey
from feedstore.backends.sql.session import SqlSession
from feedstore.backends.sql.stored import read_count, read_seconds
from feedstore.storage import QueueStorage
from feedstore.storage.queue import MOST, REFUSE, Delivery, numbers_of

_PARTS = 3


class SqlQueueStorage(QueueStorage):
    """A queue with a row for each message under (queue, position), and a header with their number.

    A push locks the header, so the bound is exact and the positions of a push are consecutive. A receive and an ack are
    one statement on PostgreSQL and one transaction on SQLite. A receive skips the rows of other consumers, with
    O(those) work. The clock that hides messages is the server's on PostgreSQL, and the machine's on SQLite. On
    PostgreSQL the commit of a push wakes the consumers that wait. On SQLite it wakes those of the same process
    immediately, and others within a tenth of a second.
    """

    session: SqlSession

    @property
    def _rows(self) -> MessageRows:
        return self.session.dialect.messages

    def _queue(self) -> QueueKey | None:
        namespace = self.session.written_namespace()
        return None if namespace is None else QueueKey(namespace, self.name.encode())

    def _push(self, messages: list[bytes]) -> None:
        """Push messages, with one statement on PostgreSQL if a full queue refuses.

        Otherwise it is one transaction of six statements at most.
        """
        queue = QueueKey(self.session.namespace_to_write(), self.name.encode())
        if self.when_full == REFUSE:
            if len(messages) > self.max_length:
                raise self.full_error(len(messages))
            fitted = self._rows.append(self.session.store, queue, messages, self.max_length, self.topic)
            if fitted:
                return
            if fitted is not None:
                raise self.full_error(len(messages))
        self.session.store.write(self._add, queue, messages)
        if not self.session.dialect.pushes:
            self.session.publish_topics([self.topic])

    def _add(self, connection: Connection, queue: QueueKey, messages: list[bytes]) -> None:
        statements = self.session.statements.queues
        connection.execute(statements.lengthen, (*queue, len(messages), len(messages)))
        queue_id, *numbers = connection.execute(statements.header, queue).fetchone()
        length, last = (read_count(number, f"the header of {self}") for number in numbers)
        surplus = length - self.max_length
        if surplus > 0 and self.when_full == REFUSE:
            raise self.full_error(len(messages))
        self._rows.add(connection, queue_id, last - len(messages) + 1, messages)
        if surplus > 0:
            connection.execute(statements.drop, (queue_id, queue_id, surplus - 1))
            connection.execute(statements.shorten, (surplus, queue_id))
        if self.session.dialect.pushes:
            # Inside the transaction, so that a notified receiver finds the message.
            self.session.publish_topics([self.topic])

    def _receive(self, limit: int) -> list[Delivery]:
        queue = self._queue()
        if queue is None:
            return []
        rows = self._rows.receive(self.session.store, queue, limit, self.visibility_timeout)
        return [(f"{row.queue_id}-{row.position}-{row.delivery}", row.data) for row in rows]

    def _ack(self, receipt: str) -> bool:
        numbers, queue = numbers_of(receipt, _PARTS), self._queue()
        if numbers is None or queue is None or numbers[2] > MOST:
            return False
        return self._rows.remove(self.session.store, queue, (numbers[0], numbers[1], numbers[2]))

    def _delivery_count(self, receipt: str) -> int:
        """Return the last number of a receipt."""
        return (numbers_of(receipt, _PARTS) or (0,))[-1]

    def _count(self) -> int:
        """Count the messages, with one statement and O(log q) work among q queues."""
        queue = self._queue()
        rows = [] if queue is None else self.session.store.fetch(self.session.statements.queues.header, queue)
        return read_count(rows[0][1], f"the header of {self}") if rows else 0

    def _flush(self) -> None:
        """Remove all messages in one transaction."""
        queue = self._queue()
        if queue is not None:
            self.session.store.write(self._remove_all, queue)

    def _remove_all(self, connection: Connection, queue: QueueKey) -> None:
        statements = self.session.statements.queues
        # Lock the header first, so that no push interferes. Delete it last, because the messages are found through it.
        connection.execute(statements.lengthen, (*queue, 0, 0))
        connection.execute(statements.delete_messages, queue)
        connection.execute(statements.delete_header, queue)

    def _seconds_to_next(self) -> float:
        """Return the seconds to the next redelivery, with two statements on PostgreSQL and one on SQLite.

        The work is O(messages of other consumers).
        """
        queue = self._queue()
        rows = [] if queue is None else self.session.store.fetch(self.session.statements.queues.next, queue)
        if not rows or rows[0][0] is None:
            return self.visibility_timeout
        left = read_seconds(rows[0][0], f"a message of {self}") - self._rows.now(self.session.store)
        return min(max(0.0, left), self.visibility_timeout)
