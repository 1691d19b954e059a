"""Aggregated feeds, which show groups of activities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import getattr_static
from itertools import chain, compress, repeat
from typing import Any, ClassVar
from uuid import UUID

from feedstore.activity import Activity
from feedstore.aggregated import AggregatedActivity, new_group
from feedstore.errors import FeedstoreError, InvalidTypeError, InvalidValueError
from feedstore.feeds.aggregators import Aggregator, AggregatorLike, RecentVerbAggregator, as_aggregator
from feedstore.feeds.base import BaseFeed
from feedstore.feeds.groups import (
    GROUP_BYTES,
    EntryGroup,
    FeedEntries,
    GroupEntry,
    GroupSerializer,
    IdsAt,
    decode_group_cursor,
    encode_group_cursor,
    ends_of,
    first_place,
    hash_of,
    members_before,
    members_by_hash,
    places_beyond,
)
from feedstore.feeds.reads import filter_within
from feedstore.forks import unlocked_property
from feedstore.ids import MAX_ID, first_id_at, id_from_bytes, id_to_bytes, id_to_text, parse_id
from feedstore.serializers import Serializer
from feedstore.shown import shown
from feedstore.storage import Bounds, Page
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.checks import check_limit, check_position
from feedstore.storage.page import EntryColumns, cursor_bounds, encode_cursor

GroupLike = AggregatedActivity | int | UUID | str
"""A name of a group in a feed: the aggregated activity, its id as an int or a UUID, or the str of that UUID."""

_MOST_ENTRIES = 1_000_000
_MOST_SLACK = 1_000
# A script on Redis applies limits to 40,000 entries at most, of which the add brings up to 2,000.
_MOST_WITH_SLACK = 38_000


class AggregatedFeed(BaseFeed[AggregatedActivity]):
    """A feed that shows groups of activities, such as the likes of a day.

    Each entry holds the hash of its group, 8 bytes. A read takes the newest ``max_length`` entries, groups them, and
    reads only the activities that it shows: two round trips. Adds therefore commute, also those of several processes.
    ``max_per_group`` keeps a group with many members from displacing the others.

    >>> from feedstore import Activity, connect
    >>> class HomeFeed(AggregatedFeed):
    ...     key_format = "aggregated:{user_id}"
    ...     aggregator = "{verb}-{object}"
    >>> home = HomeFeed("bob", connect("memory://"))
    >>> likes = [Activity(actor, "like", "photo:7") for actor in ("ann", "eve")]
    >>> home.insert_activities(likes), home.add_many(likes)
    (2, 2)
    >>> [(one.group, one.actor_ids) for one in home[:10]]
    [('like-photo:7', ['eve', 'ann'])]
    """

    key_format = "aggregated:{user_id}"
    max_per_group: ClassVar[int | None] = 100
    """The number of newest entries of a group that the feed keeps."""
    shown_per_group: ClassVar[int] = 5
    """The number of newest members that an aggregated activity holds."""
    aggregator: ClassVar[AggregatorLike] = RecentVerbAggregator()
    """An aggregator, a class of aggregators, a template or a function; see :class:`~feedstore.feeds.Aggregator`."""
    serializer_class: ClassVar[type[Serializer] | None] = GroupSerializer
    _aggregator: ClassVar[Aggregator] = RecentVerbAggregator()

    def __init_subclass__(cls, **options: Any) -> None:
        """Check the attributes of a feed class."""
        super().__init_subclass__(**options)
        check_limit("shown_per_group", cls.shown_per_group)
        if cls.max_per_group is not None:
            check_limit("max_per_group", cls.max_per_group, "; None sets no limit")
        if not (isinstance(cls.serializer_class, type) and issubclass(cls.serializer_class, GroupSerializer)):
            raise InvalidTypeError(
                f"serializer_class of {cls.__name__} must be GroupSerializer, not {shown(cls.serializer_class)}, "
                "because its entries hold the hash of their group"
            )
        if hasattr(cls, "aggregator_class"):
            raise InvalidValueError(f"{cls.__name__} sets aggregator_class; set aggregator, which may be a class")
        # A mixin may hold the attribute, and a function must not become a bound method.
        cls._aggregator = as_aggregator(getattr_static(cls, "aggregator"))

    @classmethod
    def _entries_of(cls, activities: list[Any]) -> list[Any]:
        hash_group = cls._aggregator.hash_group
        hashes = list(map(hash_group, activities))
        return [GroupEntry(each.serialization_id, one) for each, one in zip(activities, hashes, strict=True)]

    @classmethod
    def _limits(cls, trim: bool = True) -> dict[str, Any]:
        limits = super()._limits(trim)
        return limits | {"max_per_payload": cls._most_of_group(), "slack": cls._slack()} if trim else limits

    @classmethod
    def _most_of_group(cls) -> int | None:
        """Return ``max_per_group``, or None if ``max_length`` is the narrower limit."""
        most = cls.max_per_group
        return None if most is None or (cls.max_length is not None and most >= cls.max_length) else most

    @classmethod
    def _slack(cls) -> int:
        """Return the number of entries beyond ``max_length`` that adds may leave in the timeline.

        To apply the limits takes a read of the timeline. With slack, one add in 160 to a feed of 800 applies them.
        The marks of a notification feed must not outlive their entries, so each of its adds applies the limits.
        """
        if cls.max_length is None or cls.companions:
            return 0
        most = min(_MOST_SLACK, max(_MOST_WITH_SLACK - cls.max_length, 0))
        return min(max(cls.max_length // 5, min(cls.max_length, 50)), most)

    def count(self) -> int:
        """Return the number of entries within the feed's filters. One round trip, which reads the entries."""
        return len(self._entries().places) if self._slack() else super().count()

    def trim(self, length: int | None = None) -> int | None:
        """Keep the newest ``length`` entries, by default ``max_length``, and return the number of removed entries.

        Entries beyond ``max_per_group``, which the feed did not show, do not count. Three round trips, of which the
        first one reads the entries and the second one removes those beyond ``max_per_group``.
        """
        if length is not None:
            check_position("length", length)
        most = self._most_of_group()
        if self._slack() and most is not None:
            columns, members = self._columns(EVERYTHING, _MOST_ENTRIES)
            hidden = [columns.ids[place] for place in places_beyond(members, most)]
            self.timelines.remove_many(self.key, hidden)
        return super().trim(length)

    def page(self, limit: int, cursor: str | None = None) -> Page[AggregatedActivity]:
        """Return the next ``limit`` groups after ``cursor`` as a :class:`~feedstore.storage.Page`.

        A walk by ``next_cursor`` returns no group twice. It shows no entries that are newer than its first page, except
        in groups whose older members such entries have displaced by ``max_per_group``. The page leaves out a group if
        the activities that it would show are gone. ``complete`` is True only if the feed holds no further group and was
        never trimmed. Two round trips.
        """
        check_limit("limit", limit)
        newest, returned = None, list[bytes]()
        if cursor is not None:
            newest, returned = decode_group_cursor(cursor, self.key, self._descending)
        with self.backend.metrics.feed_reads_timer(type(self)):
            entries = self._entries(newest)
            known = set(returned)
            waiting = [one for one in self._ranked(entries) if one not in known]
            items = self._hydrated(entries.groups(waiting[:limit]), entries.known_from)
        self.backend.metrics.on_feed_read(type(self), self._activity_count(items))
        following = None
        if len(waiting) > limit:
            start = entries.ids[entries.places.start] if newest is None else newest
            following = encode_group_cursor(self.key, self._descending, start, [*returned, *waiting[:limit]])
        return Page(items, following, following is None and entries.is_whole, entries.floor)

    def members(self, group: GroupLike, limit: int, cursor: str | None = None) -> Page[Activity]:
        """Return the next ``limit`` activities of one group after ``cursor``, newest first. Two round trips.

        The members are those that ``activity_count`` counts: the newest ``max_per_group``. ``complete`` is False if the
        group has reached that number, because writes may have removed older members.

        Args:
            group: The aggregated activity, or its id.
            limit: The maximum number of activities.
            cursor: The ``next_cursor`` of the page before.
        """
        check_limit("limit", limit)
        after = cursor_bounds(cursor, True)
        group_hash = self._hash_of(group)
        with self.backend.metrics.feed_reads_timer(type(self)):
            entries = self._entries()
            (found,) = entries.groups([group_hash])
            ids = [each for each in found.ids if each <= after.highest]
            items = self.activities.get_many(ids[:limit])
        self.backend.metrics.on_feed_read(type(self), len(items))
        following = encode_cursor(ids[limit - 1], True) if len(ids) > limit else None
        is_whole = entries.is_whole and not found.is_clipped
        return Page(items, following, following is None and is_whole, entries.floor)

    def group_count(self) -> int:
        """Return the number of groups within the feed's filters. One round trip, which reads the entries."""
        return len(self._entries().hashes())

    def remove_group(self, group: GroupLike) -> int | None:
        """Remove all entries of one group, and return the number of those that existed. Two round trips."""
        group_hash = self._hash_of(group)
        entries = self.timelines.get_slice(self.key, 0, None)
        return self.remove_many([entry.serialization_id for entry in entries if entry.group_hash == group_hash])

    def group_id(self, group: str) -> int:
        """Return the id that the aggregated activity of a group has in this feed, given the group's name."""
        return self._id_of(hash_of(group))

    @unlocked_property
    def _key_hash(self) -> bytes:
        return hash_of(self.key)

    def _id_of(self, group_hash: bytes) -> int:
        return id_from_bytes(self._key_hash + group_hash)

    def _hash_of(self, group: GroupLike) -> bytes:
        """Return the hash of a group, or raise if its id is that of another feed."""
        group_id = parse_id(getattr(group, "id", group))
        data = id_to_bytes(group_id)
        if data[:GROUP_BYTES] != self._key_hash:
            raise InvalidValueError(f"the group {id_to_text(group_id)} is not one of the feed {shown(self.key)}")
        return data[GROUP_BYTES:]

    def _entries(self, newest: int | None = None) -> FeedEntries:
        """Return the newest entries within the filters. One round trip.

        Entries above the bounds are read, too, if they may have displaced others below them: by ``max_per_group``, or
        by ``max_length`` if adds may leave slack.

        Args:
            newest: The newest id of the walk that the read continues, or None.
        """
        most = self.max_length or _MOST_ENTRIES
        within = self._bounds if newest is None else self._bounds.intersection(Bounds(highest=newest))
        slack = self._slack()
        if within.is_empty or within.highest >= MAX_ID or not (slack or self.max_per_group):
            columns, is_full, members = self._columns_within_limits(within, most + slack + 1)
            places = range(min(len(columns), most))
            known = None if len(columns) > most else members
            return self._entries_at(columns, is_full, within, places, range(0), known)
        columns, is_full, _ = self._columns_within_limits(Bounds(within.lowest), _MOST_ENTRIES)
        start = first_place(columns.ids, within.highest)
        places = range(start, min(len(columns), start + most))
        newer = range(first_place(columns.ids, self._bounds.highest), start) if self.max_per_group else range(0)
        return self._entries_at(columns, is_full, within, places, newer)

    def _columns(self, within: Bounds, limit: int) -> tuple[EntryColumns, dict[bytes, list[int]]]:
        if within.is_empty:
            return EntryColumns((), (), self.timelines.get_page(self.key, 1).floor), {}
        columns = self.timelines.get_columns(self.key, limit, filter_within(within))
        return columns, members_by_hash(columns.ids, columns.payloads)

    def _columns_within_limits(
        self, within: Bounds, limit: int
    ) -> tuple[EntryColumns, bool, dict[bytes, list[int]] | None]:
        """Return the entries within bounds that reach up to the newest one, whether the read may lack older ones, and
        the positions of the members of their groups, or None if entries between them are absent.

        The entries that adds with slack have left beyond the limits are absent, as if each add had applied the limits.
        """
        (columns, members), slack, most_of_group = self._columns(within, limit), self._slack(), self._most_of_group()
        is_full, ids, payloads, floor = len(columns) == limit, columns.ids, columns.payloads, columns.floor
        hidden = places_beyond(members, most_of_group) if slack and most_of_group else []
        most = self.max_length or limit
        if hidden and is_full and len(ids) - len(hidden) < most and limit < _MOST_ENTRIES:
            # Other adds, such as those of a class with a greater max_length, left more entries than the slack.
            return self._columns_within_limits(within, _MOST_ENTRIES)
        has_surplus = slack > 0 and most < len(ids) - len(hidden) and len(columns) <= most + slack
        if not hidden and not has_surplus:
            return columns, is_full, members
        if hidden:
            is_shown = [True] * len(ids)
            for place in hidden:
                is_shown[place] = False
            ids = IdsAt(ids, list(compress(range(len(ids)), is_shown)))
            payloads = list(compress(payloads, is_shown))
        if has_surplus:
            floor = max(floor or 0, ids[most] + 1)
            ids, payloads = IdsAt(ids, range(most)), payloads[:most]
        return EntryColumns(ids, payloads, floor), is_full, None if hidden else members_before(members, most)

    def _entries_at(
        self,
        columns: EntryColumns,
        is_full: bool,
        within: Bounds,
        places: range,
        newer: range,
        known: dict[bytes, list[int]] | None = None,
    ) -> FeedEntries:
        ids, floor = columns.ids, columns.floor
        known_from, is_cut = floor or 0, places.stop < len(ids) or is_full
        if is_cut:
            known_from = max(known_from, ids[places.stop - 1])
        if known_from <= within.lowest:
            known_from = 0
        is_whole = not is_cut and self._is_whole(floor)
        return FeedEntries(ids, columns.payloads, places, newer, known_from, is_whole, floor, self.max_per_group, known)

    def _ranked(self, entries: FeedEntries) -> list[bytes]:
        """Return the hashes of the groups in the order in which the feed shows them."""
        hashes, aggregator = entries.hashes(), self._aggregator
        if aggregator.ranking is not None or type(aggregator).rank is not Aggregator.rank:
            hashes = [group.hash for group in aggregator.rank(entries.groups(hashes))]
        return hashes if self._descending else hashes[::-1]

    def _read_slice(self, start: int, stop: int | None) -> list[AggregatedActivity]:
        entries = self._entries()
        return self._hydrated(entries.groups(self._ranked(entries)[start:stop]), entries.known_from)

    def _activity_count(self, items: list[AggregatedActivity]) -> int:
        return sum(len(one.activities) for one in items)

    def _hydrated(self, groups: list[EntryGroup], known_from: int) -> list[AggregatedActivity]:
        """Return the aggregated activities of groups; those without a stored activity are left out. One round trip."""
        # The newest members, and the oldest one, whose time is that of the group.
        shown = [ends_of(group.ids, self.shown_per_group) for group in groups]
        stored = self.activities.get_many([*chain.from_iterable(shown)])
        found = {one.serialization_id: one for one in stored}
        marks = self._marks_of(groups) if found else []
        items = map(self._aggregated, groups, shown, repeat(found), repeat(known_from), marks)
        return [one for one in items if one is not None]

    def _marks_of(self, groups: list[EntryGroup]) -> Iterable[tuple[bool | None, bool | None]]:
        """Return for each group whether it is seen and whether it is read, each None in a feed without that mark."""
        return repeat((None, None))

    def _aggregated(
        self,
        group: EntryGroup,
        ids: list[int],
        found: dict[int, Activity],
        known_from: int,
        marks: tuple[bool | None, bool | None],
    ) -> AggregatedActivity | None:
        """Return the aggregated activity of a group, given the ids of its newest members and that of its oldest one."""
        activities = tuple([found[one] for one in ids[: self.shown_per_group] if one in found])
        if not activities:
            return None
        name, first = self._name_and_first(group.hash, activities)
        # The begin of the group's window matters only to a feed that has lost entries.
        begin = self._aggregator.begin_of(first) if first is not None and known_from else None
        has_all = known_from <= (0 if begin is None else first_id_at(begin))
        return new_group(
            self._id_of(group.hash),
            name,
            activities,
            len(group.ids),
            has_all and not group.is_clipped,
            found.get(ids[-1], activities[-1]).time,
            activities[0].time,
            *marks,
            ids[0],
        )

    def _name_and_first(self, group_hash: bytes, activities: Sequence[Activity]) -> tuple[str, Activity | None]:
        """Return the name of a group and the first activity with that name; the hash if the aggregator names none so.

        An edit of an activity, or of the aggregator, must not make the feed unreadable.
        """
        for activity in activities:
            try:
                name = self._aggregator.checked_group(activity)
            except FeedstoreError:
                continue
            if hash_of(name) == group_hash:
                return name, activity
        return group_hash.hex(), None
