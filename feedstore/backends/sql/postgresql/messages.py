"""The rows of messages in PostgreSQL."""

from __future__ import annotations

from operator import attrgetter

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.dialect import MessageRows, QueueKey, ReceivedMessage
from feedstore.backends.sql.postgresql.source import notification
from feedstore.backends.sql.postgresql.statements import load_statements
from feedstore.storage.notify.registry import Topic


class PostgresqlMessageRows(MessageRows):
    """The rows of messages. Each method is one statement; a receive skips the rows of other receives under way."""

    def __init__(self) -> None:
        self._statements = load_statements("messages")

    def add(self, connection: Connection, queue_id: int, first: int, messages: list[bytes]) -> None:
        """Insert messages at the positions from ``first`` on."""
        parameters = {"queue": queue_id, "before": first - 1, "messages": messages}
        connection.execute(self._statements["insert"], parameters)

    def append(self, database: Database, queue: QueueKey, messages: list[bytes], most: int, topic: Topic) -> bool:
        """Add messages at the end and notify. If they do not fit, do nothing and return False."""
        channel, payloads = notification(topic.namespace, [topic.digest])
        parameters = {
            **queue._asdict(),
            "count": len(messages),
            "most": most,
            "messages": messages,
            "channel": channel,
            "payload": payloads[0],
        }
        return bool(database.write_and_fetch(self._statements["append"], parameters))

    def receive(self, database: Database, queue: QueueKey, limit: int, hidden: float) -> list[ReceivedMessage]:
        """Return the oldest visible messages, and hide them for ``hidden`` seconds."""
        parameters = {"namespace": queue.namespace, "name": queue.name, "limit": limit, "hidden": hidden}
        rows = database.write_and_fetch(self._statements["receive"], parameters)
        return sorted((ReceivedMessage(*row) for row in rows), key=attrgetter("position"))

    def remove(self, database: Database, queue: QueueKey, row: tuple[int, int, int]) -> bool:
        """Remove the message with a queue's number, a position and a delivery; return whether it was there."""
        queue_id, place, last = row
        parameters = {"queue": queue_id, "place": place, "last": last, "namespace": queue.namespace, "name": queue.name}
        return database.execute(self._statements["remove"], parameters) > 0

    def now(self, database: Database) -> float:
        """Return the time of the server's clock."""
        now: float = database.fetch(self._statements["now"], ())[0][0]
        return now
