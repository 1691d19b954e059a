"""Notification feeds: aggregated feeds with marks of the activities that their user has seen and read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from feedstore.aggregated import AggregatedActivity
from feedstore.errors import InvalidValueError
from feedstore.feeds.aggregated_feed import AggregatedFeed, GroupLike
from feedstore.feeds.aggregators import AggregatorLike, NotificationAggregator
from feedstore.feeds.groups import EntryGroup, GroupEntry, id_of_entry
from feedstore.feeds.reads import filter_within
from feedstore.ids import ActivityLike
from feedstore.storage import Batch, Bounds
from feedstore.storage.checks import checked_iterable

UNSEEN = ":unseen"
UNREAD = ":unread"


class NotificationCounts(NamedTuple):
    """The numbers of a badge: activities, and groups with at least one such activity."""

    unseen: int
    unread: int
    unseen_groups: int
    unread_groups: int


class NotificationFeed(AggregatedFeed):
    """An aggregated feed that knows which of its activities its user has not seen, and which the user has not read.

    A new entry is added to the feed and to two companion timelines, unseen and unread, in one step (T21). A mark is a
    removal from a companion. So marks and adds take effect in some order, a delivery that is repeated after the mark
    restores nothing, and the counts are those of the companions. A group is unseen while one of its members is.

    Keys have braces, so that a feed and its companions are in one bucket of a Redis Cluster (T22). A read of groups
    takes three round trips; the last one reads their marks.

    >>> from feedstore import Activity, connect
    >>> feed = NotificationFeed("bob", connect("memory://"))
    >>> like = Activity("ann", "like", "photo:7")
    >>> feed.insert_activity(like), feed.add(like), feed.unseen_count()
    (1, 1, 1)
    >>> feed.mark_all(read=True)
    >>> feed.counts(), feed[0].is_seen, feed[0].is_read
    (NotificationCounts(unseen=0, unread=0, unseen_groups=0, unread_groups=0), True, True)
    """

    key_format = "notification:{{{user_id}}}"
    aggregator: ClassVar[AggregatorLike] = NotificationAggregator()
    publishes = True
    track_unseen: ClassVar[bool] = True
    """Whether the feed knows which activities are unseen."""
    track_unread: ClassVar[bool] = True
    """Whether the feed knows which activities are unread."""
    read_implies_seen: ClassVar[bool] = True
    """Whether a mark as read is a mark as seen, too."""
    companions: ClassVar[tuple[str, ...]] = (UNSEEN, UNREAD)

    def __init_subclass__(cls, **options: Any) -> None:
        """Check the attributes of a feed class."""
        super().__init_subclass__(**options)
        owner = next(each for each in cls.__mro__ if "companions" in vars(each))
        if owner is cls or not issubclass(owner, NotificationFeed):
            raise InvalidValueError(
                f"{cls.__name__} must not set companions; set track_unseen or track_unread to False to have one of them"
            )
        tracked = ((UNSEEN, cls.track_unseen), (UNREAD, cls.track_unread))
        cls.companions = tuple(suffix for suffix, is_tracked in tracked if is_tracked)
        if not cls.companions:
            raise InvalidValueError(
                f"{cls.__name__} tracks neither unseen nor unread activities; derive it from AggregatedFeed instead"
            )

    def unseen_count(self) -> int:
        """Return the number of unseen activities. One round trip, which costs as much as :meth:`count`."""
        return self.timelines.count(self._companion(UNSEEN))

    def unread_count(self) -> int:
        """Return the number of unread activities. One round trip, which costs as much as :meth:`count`."""
        return self.timelines.count(self._companion(UNREAD))

    def counts(self) -> NotificationCounts:
        """Return the numbers of unseen and unread activities and groups; of marks that are not tracked, 0.

        One round trip if nothing is unseen or unread. Otherwise two, of which the second reads the entries of the feed
        from the oldest such activity to the newest.
        """
        found = self.timelines.get_many_slices(self._companion_keys(), 0, None)
        unseen, unread = (found.get(self.key + suffix, []) for suffix in (UNSEEN, UNREAD))
        # An add can give an entry of the feed another group, and the entries of the companions keep the first one.
        hashes: dict[int, bytes] = {}
        if unseen or unread:
            ids = list(map(id_of_entry, (*unseen, *unread)))
            within = filter_within(Bounds(min(ids), max(ids)))
            hashes = dict(self.timelines.get_slice(self.key, 0, None, within))
        return NotificationCounts(
            len(unseen), len(unread), *(len({hashes.get(*entry) for entry in marked}) for marked in (unseen, unread))
        )

    def unseen_ids(self) -> set[int]:
        """Return the ids of the unseen activities. One round trip."""
        return set(self._ids.get_slice(self._companion(UNSEEN), 0, None))

    def unread_ids(self) -> set[int]:
        """Return the ids of the unread activities. One round trip."""
        return set(self._ids.get_slice(self._companion(UNREAD), 0, None))

    def mark_activity(
        self, activity: ActivityLike, seen: bool = True, read: bool = False, *, batch_interface: Batch | None = None
    ) -> None:
        """Mark one activity; see :meth:`mark_activities`."""
        self.mark_activities([activity], seen, read, batch_interface=batch_interface)

    def mark_activities(
        self,
        activities: Iterable[ActivityLike],
        seen: bool = True,
        read: bool = False,
        *,
        batch_interface: Batch | None = None,
    ) -> None:
        """Mark activities, given as activities or ids, as seen, as read, or as both. One round trip.

        Activities that the feed does not hold, or that have the mark, are no error.

        Args:
            activities: The activities or their ids.
            seen: Whether to mark them as seen.
            read: Whether to mark them as read; with ``read_implies_seen`` they are then seen, too.
            batch_interface: A batch to join.
        """
        keys = self._keys_to_mark(seen, read)
        self.timelines.remove_from_many(keys, checked_iterable(activities), batch_interface=batch_interface)

    def mark_group(self, group: GroupLike, seen: bool = True, read: bool = False) -> None:
        """Mark the members of one group; see :meth:`mark_groups`."""
        self.mark_groups([group], seen, read)

    def mark_groups(self, groups: Iterable[GroupLike], seen: bool = True, read: bool = False) -> None:
        """Mark the members of groups. Two round trips.

        Of an aggregated activity, the members up to its newest activity are marked, so that an activity that the user
        was not shown stays unseen. Of the id of a group, all members are marked.
        """
        self._keys_to_mark(seen, read)
        newest: dict[bytes, int | None] = {}
        for group in checked_iterable(groups):
            newest[self._hash_of(group)] = _newest_id(group) if isinstance(group, AggregatedActivity) else None
        entries = self.timelines.get_slice(self.key, 0, None)
        self.mark_activities([entry.serialization_id for entry in entries if _is_up_to(entry, newest)], seen, read)

    def mark_until(self, newest: ActivityLike | AggregatedActivity, seen: bool = True, read: bool = False) -> None:
        """Mark everything up to an activity, which is the newest that the user was shown. Two round trips.

        An activity that is stored during the call may stay unmarked, even if it is older.
        """
        if isinstance(newest, AggregatedActivity):
            newest = _newest_id(newest)
        keys = self._keys_to_mark(seen, read)
        found = self._ids.get_many_slices(keys, 0, None, {"activity_id__lte": newest})
        self.mark_activities(set().union(*found.values()), seen, read)

    def mark_all(self, seen: bool = True, read: bool = False, *, batch_interface: Batch | None = None) -> None:
        """Mark all activities of the feed. One round trip."""
        keys = self._keys_to_mark(seen, read)
        if batch_interface is None:
            with self.backend.batch() as batch:
                self.mark_all(seen, read, batch_interface=batch)
            return
        for key in keys:
            self.timelines.delete(key, batch_interface=batch_interface)

    def reset(self, unseen: Iterable[ActivityLike] = (), unread: Iterable[ActivityLike] = ()) -> None:
        """Make these activities the only unseen and unread ones, for example after an import.

        The feed must hold them; others are left out. Do not call it while other processes write to the feed: their
        marks may be lost.
        """
        to_id = self.timelines.activity_to_id
        wanted = {UNSEEN: set(map(to_id, checked_iterable(unseen))), UNREAD: set(map(to_id, checked_iterable(unread)))}
        for suffix in (UNSEEN, UNREAD):
            if wanted[suffix]:
                self._companion(suffix)
        entries = self.timelines.get_slice(self.key, 0, None)
        for suffix in self.companions:
            key = self.key + suffix
            self.timelines.delete(key)
            self.timelines.add_many(key, [one for one in entries if one.serialization_id in wanted[suffix]])

    def _companion(self, suffix: str) -> str:
        """Return the key of a companion, or raise if the feed does not track it."""
        if suffix not in self.companions:
            raise InvalidValueError(f"{type(self).__name__} does not track {suffix[1:]} activities")
        return self.key + suffix

    def _keys_to_mark(self, seen: bool, read: bool) -> list[str]:
        """Return the keys of the companions from which a mark removes, or raise if there are none."""
        if not (seen or read):
            raise InvalidValueError("pass seen=True, read=True or both; a mark cannot be taken back")
        keys = [self._companion(UNREAD)] if read else []
        if read and self.read_implies_seen and self.track_unseen:
            seen = True
        return [self._companion(UNSEEN), *keys] if seen and (self.track_unseen or not read) else keys

    def _marked_ids(self, within: Bounds) -> dict[str, set[int]]:
        """Return the ids in each companion within bounds. One round trip, which reads no payloads."""
        found = self._ids.get_many_slices(self._companion_keys(), 0, None, filter_within(within))
        return {suffix: set(found[self.key + suffix]) for suffix in self.companions}

    def _marks_of(self, groups: list[EntryGroup]) -> Iterable[tuple[bool | None, bool | None]]:
        """Return for each group whether all of its members are seen, and whether all are read. One round trip."""
        within = Bounds(min(group.ids[-1] for group in groups), max(group.ids[0] for group in groups))
        marked = self._marked_ids(within)
        unseen, unread = marked.get(UNSEEN), marked.get(UNREAD)
        return [
            (None if unseen is None else unseen.isdisjoint(ids), None if unread is None else unread.isdisjoint(ids))
            for ids in [group.ids[:] for group in groups]
        ]


def _newest_id(group: AggregatedActivity) -> int:
    return group.last_activity.serialization_id if group.newest_id is None else group.newest_id


def _is_up_to(entry: GroupEntry, newest: dict[bytes, int | None]) -> bool:
    """Return whether an entry is one of a group in ``newest``, and not newer than the id given there, if any."""
    if entry.group_hash not in newest:
        return False
    highest = newest[entry.group_hash]
    return highest is None or entry.serialization_id <= highest
