"""The rows of messages in SQLite."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import BigInteger, Double, bindparam, delete, insert, select, update

from feedstore.backends.sql.compiler import Compiler, limited
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import MessageRows, QueueKey, ReceivedMessage
from feedstore.backends.sql.shared_statements import queue_id
from feedstore.backends.sql.stored import read_count
from feedstore.backends.sql.tables import message_table, queue_table

_message = message_table.c


class SqliteMessageRows(MessageRows):
    """The rows of messages. A receive is one transaction that begins IMMEDIATE: it excludes other writers."""

    def __init__(self, compiler: Compiler) -> None:
        text = compiler.text
        new: dict[str, Any] = {column.name: bindparam(f"new_{column.name}") for column in _message}
        self._insert = text(insert(message_table).values(new), *(f"new_{name}" for name in new))
        columns = select(_message.queue_id, _message.position, _message.delivery, _message.data)
        visible = _message.visible_at <= bindparam("now", type_=Double)
        oldest = columns.where(_message.queue_id == queue_id(), visible).order_by(_message.position)
        self._find = text(limited(oldest), "namespace", "name", "now", "limit")
        one = (
            _message.queue_id == bindparam("queue", type_=BigInteger),
            _message.position == bindparam("place", type_=BigInteger),
        )
        hidden = {"visible_at": bindparam("until", type_=Double), "delivery": bindparam("next", type_=BigInteger)}
        self._hide = text(update(message_table).where(*one).values(hidden), "until", "next", "queue", "place")
        gone = delete(message_table).where(
            *one, _message.delivery == bindparam("last", type_=BigInteger), _message.queue_id == queue_id()
        )
        self._remove = text(gone, "queue", "place", "last", "namespace", "name")
        shorter = update(queue_table).where(queue_table.c.id == bindparam("queue", type_=BigInteger))
        self._shorten = text(shorter.values(length=queue_table.c.length - 1), "length_1", "queue")

    def add(self, connection: Connection, queue_id: int, first: int, messages: list[bytes]) -> None:
        """Run one statement for each message."""
        rows = [(queue_id, first + number, 0.0, 0, data) for number, data in enumerate(messages)]
        connection.executemany(self._insert, rows)

    def receive(self, database: Database, queue: QueueKey, limit: int, hidden: float) -> list[ReceivedMessage]:
        """Use one transaction, or only a read if the queue is empty."""
        if not database.fetch(self._find, (*queue, time.time(), 1)):
            return []
        return database.write(self._take, queue, limit, hidden)

    def _take(self, connection: Connection, queue: QueueKey, limit: int, hidden: float) -> list[ReceivedMessage]:
        now = time.time()
        found = connection.execute(self._find, (*queue, now, limit)).fetchall()
        rows = [
            ReceivedMessage(number, place, read_count(delivery, "a message's number of deliveries") + 1, data)
            for number, place, delivery, data in found
        ]
        connection.executemany(self._hide, [(now + hidden, row.delivery, row.queue_id, row.position) for row in rows])
        return rows

    def remove(self, database: Database, queue: QueueKey, row: tuple[int, int, int]) -> bool:
        """Use one transaction."""
        return database.write(self._take_away, queue, row)

    def _take_away(self, connection: Connection, queue: QueueKey, row: tuple[int, int, int]) -> bool:
        was_there: bool = connection.execute(self._remove, (*row, *queue)).rowcount > 0
        if was_there:
            connection.execute(self._shorten, (1, row[0]))
        return was_there

    def now(self, database: Database) -> float:
        """Return the time of the machine's clock, which all processes that write to the file share."""
        return time.time()
