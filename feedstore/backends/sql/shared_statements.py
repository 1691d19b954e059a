"""The statements on activities, items and queues that are the same on every dialect, built with SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    bindparam,
    cast,
    column,
    delete,
    func,
    select,
    update,
    values,
)

from feedstore.backends.sql.compiler import Compiler, limited, row_at, this_namespace
from feedstore.backends.sql.tables import activity_table, item_table, message_table, queue_table
from feedstore.backends.sql.timeline_statements import TimelineStatements

FEW_KEYS, MANY_KEYS = 16, 256
"""The numbers of keys in the two statements of ``fetch_many``."""
_KEY = ("namespace", "name", "key")
_header, _message = queue_table.c, message_table.c
_QUEUE = ("namespace", "name")
_more: Any = bindparam("more", type_=Integer)


class Statements:
    """The statements that are the same on every dialect, compiled for one of them."""

    def __init__(self, compiler: Compiler) -> None:
        self.activities = ActivityStatements(compiler)
        self.timelines = TimelineStatements(compiler)
        self.items = ItemStatements(compiler)
        self.queues = QueueStatements(compiler)


class ActivityStatements:
    """The text of each statement on ``feedstore_activity``. Each takes the namespace first."""

    def __init__(self, compiler: Compiler) -> None:
        columns, text = activity_table.c, compiler.text
        in_namespace = columns.namespace_id == this_namespace()
        in_range = columns.activity_id >= bindparam("first"), columns.activity_id < bindparam("behind")
        rows = select(columns.activity_id, columns.data).where(in_namespace, *in_range)
        self.between = {
            descending: text(limited(rows.order_by(order)), "namespace", "first", "behind", "limit")
            for descending, order in ((False, columns.activity_id.asc()), (True, columns.activity_id.desc()))
        }
        ids = select(columns.activity_id).where(in_namespace).order_by(columns.activity_id)
        self.id_at = text(row_at(ids), "namespace", "position")
        up_to = delete(activity_table).where(in_namespace, columns.activity_id <= bindparam("last"))
        self.delete_up_to = text(up_to, "namespace", "last")
        self.delete_all = text(delete(activity_table).where(in_namespace), "namespace")


class ItemStatements:
    """The text of each statement on ``feedstore_item``.

    Each takes the namespace and the storage's name first, except ``fetch_many``, which takes them after its keys.
    """

    def __init__(self, compiler: Compiler) -> None:
        columns, text = item_table.c, compiler.text
        space = columns.namespace_id == this_namespace(), columns.name == bindparam("name")
        one = (*space, columns.key == bindparam("key"))
        new: dict[str, Any] = {name: bindparam(name) for name in ("name", "key", "value")}
        # Inline: otherwise SQLAlchemy asks for the key of the row, and SQLite counts the row only once that is fetched.
        inserted = compiler.insert(item_table).inline().values(namespace_id=this_namespace(), **new)
        replacing = inserted.on_conflict_do_update(
            index_elements=[columns.namespace_id, columns.name, columns.key], set_={"value": inserted.excluded.value}
        )
        self.upsert = text(replacing, "namespace", "name", "key", "value")
        self.fetch = text(select(columns.value).where(*one), *_KEY)
        self.exists = text(select(columns.key).where(*one), *_KEY)
        self.insert = text(inserted.on_conflict_do_nothing(), "namespace", "name", "key", "value")
        replaced = update(item_table).where(*one, columns.value == bindparam("old")).values(value=bindparam("new"))
        self.replace = text(replaced, "new", *_KEY, "old")
        self.fetch_many = {}
        for count in (FEW_KEYS, MANY_KEYS):
            names = [f"key_{number}" for number in range(count)]
            self.fetch_many[count] = text(_values_of(names, space), *names, "namespace", "name")
        self.delete = text(delete(item_table).where(*one), *_KEY)
        in_range = columns.key >= bindparam("first"), columns.key < bindparam("behind")
        self.scan, self.scan_keys = (
            {
                reverse: text(
                    limited(found.where(*space, *in_range).order_by(order)),
                    *("namespace", "name", "first", "behind", "limit"),
                )
                for reverse, order in ((False, columns.key.asc()), (True, columns.key.desc()))
            }
            for found in (select(columns.key, columns.value), select(columns.key))
        )
        keys = select(columns.key).where(*space).order_by(columns.key)
        self.key_at = text(row_at(keys), "namespace", "name", "position")
        up_to = (*space, columns.key <= bindparam("last"))
        self.delete_up_to = text(delete(item_table).where(*up_to), "namespace", "name", "last")
        self.delete_all = text(delete(item_table).where(*space), "namespace", "name")
        later = columns.namespace_id == this_namespace(), columns.name > bindparam("after")
        next_names = limited(select(columns.name).where(*later).order_by(columns.name))
        self.next_names = text(next_names, "namespace", "after", "limit")


def _values_of(names: Sequence[str], space: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Return the query for ``(key, value)`` of many keys. The value is NULL for a key without an item.

    A subquery for each key is one look-up for each, independent of the planner. PostgreSQL without statistics planned
    ``key IN (…)`` as a scan of the whole storage: 2 s instead of 5 ms for 1,000 keys among 40,000.
    """
    given = [(cast(bindparam(name), LargeBinary),) for name in names]
    wanted = values(column("key", LargeBinary), name="wanted").data(given).cte("wanted")
    found = select(item_table.c.value).where(*space, item_table.c.key == wanted.c.key)
    return select(wanted.c.key, found.scalar_subquery().label("value"))


class QueueStatements:
    """The text of each statement on queues. Most take the namespace and the name first."""

    def __init__(self, compiler: Compiler) -> None:
        text = compiler.text
        inserted = compiler.insert(queue_table).values(
            namespace_id=this_namespace(), name=bindparam("name"), length=_more, last_position=bindparam("last")
        )
        lengthened = inserted.on_conflict_do_update(
            index_elements=[_header.namespace_id, _header.name],
            set_={
                "length": _header.length + inserted.excluded.length,
                "last_position": _header.last_position + inserted.excluded.last_position,
            },
        )
        self.lengthen = text(lengthened, *_QUEUE, "more", "last")
        header = select(_header.id, _header.length, _header.last_position).where(*is_queue())
        self.header = text(header, *_QUEUE)
        mine = _message.queue_id == bindparam("queue", type_=BigInteger)
        positions = select(_message.position).where(_message.queue_id == bindparam("same_queue", type_=BigInteger))
        nth_oldest = row_at(positions.order_by(_message.position)).scalar_subquery()
        self.drop = text(
            delete(message_table).where(mine, _message.position <= nth_oldest), "queue", "same_queue", "position"
        )
        self.shorten = text(
            update(queue_table)
            .where(_header.id == bindparam("queue", type_=BigInteger))
            .values(length=_header.length - bindparam("fewer", type_=Integer)),
            "fewer",
            "queue",
        )
        self.next = text(select(func.min(_message.visible_at)).where(_message.queue_id == queue_id()), *_QUEUE)
        self.delete_messages = text(delete(message_table).where(_message.queue_id == queue_id()), *_QUEUE)
        self.delete_header = text(delete(queue_table).where(*is_queue()), *_QUEUE)
        later = _header.namespace_id == this_namespace(), _header.name > bindparam("after")
        next_names = limited(select(_header.name).where(*later).order_by(_header.name))
        self.next_names = text(next_names, "namespace", "after", "limit")


def is_queue() -> tuple[Any, Any]:
    """Return the conditions that choose the header of the parameters ``namespace`` and ``name``."""
    return _header.namespace_id == this_namespace(), _header.name == bindparam("name")


def queue_id() -> Any:
    """Return the number of that queue, as a scalar subquery."""
    return select(_header.id).where(*is_queue()).scalar_subquery()
