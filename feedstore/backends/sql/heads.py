"""The states of many timelines or queues, which polling compares."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, literal_column, select

from feedstore.backends.sql.compiler import Compiler, this_namespace
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.stored import read_text
from feedstore.backends.sql.tables import entry_table, queue_table, timeline_table
from feedstore.storage.notify.registry import Kind

_SIZES = (1, 20, 500)


class Heads:
    """The statements that read the states of many timelines or queues, compiled for a few numbers of keys."""

    def __init__(self, compiler: Compiler) -> None:
        self._texts = {
            (kind, size): compiler.text(*statement(size))
            for kind, statement in ((Kind.TIMELINE, _newest_entries), (Kind.QUEUE, _newest_messages))
            for size in _SIZES
        }

    def fetch(self, database: Database, kind: Kind, namespace: str, keys: list[str]) -> dict[str, tuple[Any, ...]]:
        """Return ``{key: state}`` of the timelines or queues that exist. Each write changes the state.

        It costs one statement for each 500 keys.
        """
        found: dict[str, tuple[Any, ...]] = {}
        for start in range(0, len(keys), _SIZES[-1]):
            part = [key.encode() for key in keys[start : start + _SIZES[-1]]]
            size = next(size for size in _SIZES if size >= len(part))
            rows = database.fetch(self._texts[kind, size], (namespace, *part, *[b""] * (size - len(part))))
            found.update((read_text(row[0], "the key of a timeline or queue"), tuple(row[1:])) for row in rows)
        return found


def _newest_entries(size: int) -> Any:
    header, entry = timeline_table.c, entry_table.c
    # PostgreSQL has no maximum of bytes before version 18. Plain numbers, for SQLAlchemy makes parameters of others.
    newest = select(entry.activity_id).where(entry.timeline_id == header.id).order_by(entry.activity_id.desc())
    newest_id = newest.limit(literal_column("1")).offset(literal_column("0")).scalar_subquery()
    columns = select(header.key, header.id, header.length, header.newest_dropped, newest_id)
    return _of_many(columns, header.namespace_id, header.key, size)


def _newest_messages(size: int) -> Any:
    header = queue_table.c
    return _of_many(select(header.name, header.id, header.last_position), header.namespace_id, header.name, size)


def _of_many(columns: Select[Any], namespace: Any, key: Any, size: int) -> Any:
    names = [f"key_{number}" for number in range(size)]
    wanted = key.in_([bindparam(name) for name in names])
    return columns.where(namespace == this_namespace(), wanted), "namespace", *names
