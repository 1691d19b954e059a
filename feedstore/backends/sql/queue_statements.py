"""The statements of queues that are the same on every dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, bindparam, delete, func, select, update

from feedstore.backends.sql.statements import row_at, this_namespace
from feedstore.backends.sql.tables import message_table, queue_table

if TYPE_CHECKING:
    from feedstore.backends.sql.database import Database

_header, _message = queue_table.c, message_table.c
_QUEUE = ("namespace", "name")
_more: Any = bindparam("more", type_=Integer)


def is_queue() -> tuple[Any, Any]:
    """The conditions that choose the header of the parameters ``namespace`` and ``name``."""
    return _header.namespace_id == this_namespace(), _header.name == bindparam("name")


def queue_id() -> Any:
    """The number of that queue."""
    return select(_header.id).where(*is_queue()).scalar_subquery()


class QueueStatements:
    """The text of each. Most take the namespace and the name first."""

    def __init__(self, database: Database) -> None:
        text = database.compiler.text
        inserted = database.insert(queue_table).values(
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
