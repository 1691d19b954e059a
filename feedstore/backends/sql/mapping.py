"""The tables as objects: classes of SQLAlchemy's ORM, mapped on the tables that the storages write.

Use them for queries and reports, in a Session on an engine of the application::

    with Session(engine) as session:
        longest = select(TimelineRow).order_by(TimelineRow.length.desc()).limit(10)
        for timeline in session.scalars(longest):
            print(timeline.namespace.name, timeline.key.decode(), timeline.length)

Rows of activities and of key-value items may be added, changed and removed through a Session too; a storage
reads them once they are committed. The bytes in ``data`` are those of the storage's ``serialize_activities`` and
``deserialize_activities``, those in ``value`` of ``encode_value`` and ``decode_value`` in ``feedstore.storage.kv``.
**Write timelines and queues only through the storages**: ``TimelineRow.length`` counts the entries, ``newest_dropped``
is the newest id that a trim dropped, ``QueueRow.length`` counts the messages, and none of them follows a change that is
made through a Session. Nodes, documents and subscriptions (``PubsubNode``, ``PubsubItem``, ``PubsubSubscription``) may
be written through a Session freely: the full-text index follows. Each backend looks the row of a namespace up once, so
do not change these rows. The relationships between nodes, documents and subscriptions can be written. All others are
for reading only, and there are no foreign keys that a removal would follow. A Session of
:meth:`SqlBackend.in_orm_session` joins a batch.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, join
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, foreign, relationship

from feedstore.backends.sql.stored import read_id
from feedstore.backends.sql.tables import (
    activity_table,
    document_table,
    entry_table,
    item_table,
    message_table,
    metadata,
    namespace_table,
    node_table,
    path_index_table,
    queue_table,
    subscription_table,
    timeline_table,
)
from feedstore.storage.documents.values import SubscriptionState, SyncState

# An entry names no namespace: the header of its timeline does, and only there the activity is looked for.
_link = entry_table.alias("link")
_owner = timeline_table.alias("owner")
_LINK = join(_link, _owner, _link.c.timeline_id == _owner.c.id)


class Row(DeclarativeBase):
    """The base of the mapped classes; its metadata is that of the tables."""

    metadata = metadata


class NamespaceRow(Row):
    """A namespace, and the format that its bytes are written in."""

    __table__ = namespace_table
    if TYPE_CHECKING:
        id: Mapped[int]
        name: Mapped[str]
        format: Mapped[int]

    activities: Mapped[list[ActivityRow]] = relationship(
        primaryjoin=lambda: NamespaceRow.id == foreign(ActivityRow.namespace_id),
        order_by=lambda: ActivityRow.activity_id.desc(),
        viewonly=True,
    )
    """Its activities, newest first."""
    timelines: Mapped[list[TimelineRow]] = relationship(
        primaryjoin=lambda: NamespaceRow.id == foreign(TimelineRow.namespace_id),
        order_by=lambda: TimelineRow.key,
        viewonly=True,
    )
    """The headers of its timelines, in the order of their keys."""
    items: Mapped[list[ItemRow]] = relationship(
        primaryjoin=lambda: NamespaceRow.id == foreign(ItemRow.namespace_id),
        order_by=lambda: (ItemRow.name, ItemRow.key),
        viewonly=True,
    )
    """The items of all its key-value storages, in the order of storage and key."""


class _InNamespace:
    """A row that names its namespace."""

    if TYPE_CHECKING:
        namespace_id: Mapped[int]

    @declared_attr
    @classmethod
    def namespace(cls) -> Mapped[NamespaceRow]:
        """The namespace that it lies in."""
        return relationship(
            NamespaceRow, primaryjoin=lambda: foreign(cls.namespace_id) == NamespaceRow.id, viewonly=True
        )


class _HasId:
    """A row with the id of an activity."""

    if TYPE_CHECKING:
        activity_id: Mapped[bytes]

    @property
    def serialization_id(self) -> int:
        """The id as the int that activities carry."""
        return read_id(self.activity_id, "a row")


class ActivityRow(_HasId, _InNamespace, Row):
    """An activity: 16 bytes of id, and the serialized rest."""

    __table__ = activity_table
    if TYPE_CHECKING:
        data: Mapped[bytes]


class TimelineRow(_InNamespace, Row):
    """The header of a timeline: its key in UTF-8, how many entries it has, and the newest id that a trim dropped."""

    __table__ = timeline_table
    if TYPE_CHECKING:
        id: Mapped[int]
        key: Mapped[bytes]
        length: Mapped[int]
        newest_dropped: Mapped[bytes | None]

    entries: Mapped[list[EntryRow]] = relationship(
        primaryjoin=lambda: TimelineRow.id == foreign(EntryRow.timeline_id),
        order_by=lambda: EntryRow.activity_id.desc(),
        viewonly=True,
    )
    """Its entries, newest first."""
    activities: Mapped[list[ActivityRow]] = relationship(
        secondary=_LINK,
        primaryjoin=lambda: TimelineRow.id == _link.c.timeline_id,
        secondaryjoin=lambda: _link_reaches(ActivityRow),
        order_by=_link.c.activity_id.desc(),
        viewonly=True,
    )
    """The activities of its entries, newest first; an entry whose activity is gone has none."""

    @property
    def floor(self) -> int | None:
        """The id such that every entry dropped by a trim is older; None while nothing was."""
        return None if self.newest_dropped is None else read_id(self.newest_dropped, "the floor of a timeline") + 1


class EntryRow(_HasId, Row):
    """An entry of a timeline: the activity's id, and a payload unless it is a mere reference."""

    __table__ = entry_table
    if TYPE_CHECKING:
        timeline_id: Mapped[int]
        data: Mapped[bytes | None]

    timeline: Mapped[TimelineRow] = relationship(
        primaryjoin=lambda: foreign(EntryRow.timeline_id) == TimelineRow.id, viewonly=True
    )
    activity: Mapped[ActivityRow | None] = relationship(
        secondary=_LINK,
        primaryjoin=lambda: and_(
            EntryRow.timeline_id == _link.c.timeline_id, EntryRow.activity_id == _link.c.activity_id
        ),
        secondaryjoin=lambda: _link_reaches(ActivityRow),
        uselist=False,
        viewonly=True,
    )
    """The activity that it refers to; None once that is gone."""


class ItemRow(_InNamespace, Row):
    """An item of a key-value storage: the storage's name and the key in UTF-8, and the value's bytes."""

    __table__ = item_table
    if TYPE_CHECKING:
        name: Mapped[bytes]
        key: Mapped[bytes]
        value: Mapped[bytes]


class QueueRow(_InNamespace, Row):
    """The header of a queue: its name in UTF-8, how many messages it has, and the position of the last one."""

    __table__ = queue_table
    if TYPE_CHECKING:
        id: Mapped[int]
        name: Mapped[bytes]
        length: Mapped[int]
        last_position: Mapped[int]

    messages: Mapped[list[MessageRow]] = relationship(
        primaryjoin=lambda: QueueRow.id == foreign(MessageRow.queue_id),
        order_by=lambda: MessageRow.position,
        viewonly=True,
    )
    """Its messages, oldest first."""


class MessageRow(Row):
    """A message of a queue: the time from which it is visible, in seconds since 1970, its deliveries, and its bytes."""

    __table__ = message_table
    if TYPE_CHECKING:
        queue_id: Mapped[int]
        position: Mapped[int]
        visible_at: Mapped[float]
        delivery: Mapped[int]
        data: Mapped[bytes]

    queue: Mapped[QueueRow] = relationship(
        primaryjoin=lambda: foreign(MessageRow.queue_id) == QueueRow.id, viewonly=True
    )


class PubsubNode(_InNamespace, Row):
    """A node of documents: its key, its type, and the state of its synchronisation."""

    __table__ = node_table
    if TYPE_CHECKING:
        id: Mapped[int]
        account: Mapped[str]
        service: Mapped[str]
        name: Mapped[str]
        subscribed: Mapped[bool]
        analyser: Mapped[str | None]
        sync_state: Mapped[SyncState | None]
        sync_state_updated: Mapped[datetime | None]
        sync_reason: Mapped[str | None]
        sync_token: Mapped[str | None]
        type: Mapped[str | None]
        subtype: Mapped[str | None]
        extra: Mapped[dict[str, Any] | None]

    items: Mapped[list[PubsubItem]] = relationship(
        primaryjoin=lambda: PubsubNode.id == foreign(PubsubItem.node_id),
        order_by=lambda: (PubsubItem.created, PubsubItem.id),
        cascade="all, delete-orphan",
        back_populates="node",
    )
    """Its documents in the order of creation."""
    subscriptions: Mapped[list[PubsubSubscription]] = relationship(
        primaryjoin=lambda: PubsubNode.id == foreign(PubsubSubscription.node_id),
        order_by=lambda: PubsubSubscription.subscriber,
        cascade="all, delete-orphan",
        back_populates="node",
    )
    """Its subscriptions in the order of the subscribers."""


class PubsubItem(Row):
    """A document of a node: the raw payload, parsed JSON, and times.

    Assign plain text to ``words``: its normalised words are stored and found by full-text queries.
    """

    __table__ = document_table
    if TYPE_CHECKING:
        id: Mapped[int]
        node_id: Mapped[int]
        item_id: Mapped[str]
        payload: Mapped[bytes]
        publisher: Mapped[str | None]
        parsed: Mapped[dict[str, Any] | None]
        words: Mapped[str]
        created: Mapped[datetime]
        updated: Mapped[datetime]

    node: Mapped[PubsubNode] = relationship(
        primaryjoin=lambda: foreign(PubsubItem.node_id) == PubsubNode.id, back_populates="items"
    )


class PubsubSubscription(Row):
    """A subscription of a user to a node."""

    __table__ = subscription_table
    if TYPE_CHECKING:
        node_id: Mapped[int]
        subscriber: Mapped[str]
        state: Mapped[SubscriptionState]

    node: Mapped[PubsubNode] = relationship(
        primaryjoin=lambda: foreign(PubsubSubscription.node_id) == PubsubNode.id, back_populates="subscriptions"
    )


class PubsubPathIndex(Row):
    """An index on a path of parsed documents. Create and drop it through the document storage."""

    __table__ = path_index_table
    if TYPE_CHECKING:
        name: Mapped[str]
        kind: Mapped[str]
        path: Mapped[str]


def _link_reaches(activity: type[ActivityRow]) -> ColumnElement[bool]:
    return and_(_owner.c.namespace_id == activity.namespace_id, _link.c.activity_id == activity.activity_id)
