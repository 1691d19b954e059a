"""Walks over the activities and feeds of stream_framework, in Redis and in Cassandra."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import md5
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from feedstore.activity import Activity, ActivityRef
from feedstore.compat.stream_framework_data import Converter, ImportFindings, OldGroup, RefusedError
from feedstore.compat.stream_framework_feeds import (
    AGGREGATED,
    AUTO,
    FLAT,
    NOTIFICATION,
    TIMED,
    FeedRule,
    FeedRules,
    Grouping,
    ImportedFeed,
)
from feedstore.errors import FeedstoreError, InputError
from feedstore.ingest.summary import SKIP
from feedstore.shown import shown
from feedstore.storage.checks import check_key

_SHARDS = 10
_LEAST_DIGITS = 13
_FIELDS_A_READ = 1000
_MEMBERS_A_STEP = 1000
_MOST_MEMBERS = 10_000
"""The members that are read of a sorted set of at most 1,000, which may grow between two requests."""
_KEPT_ACTIVITIES = 20_000
_KEPT_IDS = 200_000
_MISSING = "entries whose activity the source does not hold, or is refused"
_UNHELD_MARKS = "marks of aggregated activities that the feed does not hold"
_OTHER_MEMBERS = "members of sorted sets in other formats"
_FLAT_COLUMNS = ("feed_id", "activity_id", "actor", "verb", "object", "target", "time", "extra_context")
_GROUP_COLUMNS = ("feed_id", "activity_id", "activities", "group", "updated_at")

_Found = TypeVar("_Found")
Members = list[tuple[bytes, float]]
_Parts = list[tuple[bytes, Members]]
_Row = Mapping[str, Any]


class Step(NamedTuple):
    """A part of an import, which is written together.

    ``place`` is the place to resume at after the step, or None if a resumed run repeats the step.
    """

    activities: Sequence[Activity]
    feeds: Sequence[ImportedFeed]
    place: dict[str, Any] | None


class StreamSource(ABC):
    """A store of stream_framework.

    Args:
        converter: Makes the activities.
        rules: Choose the feeds.

    Attributes:
        label: The address of the store, without a password.
        other_keys: The number of sorted sets or tables that are no feeds, or that no rule fits.
    """

    label: str

    def __init__(self, converter: Converter, rules: FeedRules) -> None:
        self.converter = converter
        self.rules = rules
        self.findings: ImportFindings = converter.findings
        self.other_keys = 0
        self._known: OrderedDict[str, Activity | None] = OrderedDict()
        self._ids: OrderedDict[str, int | None] = OrderedDict()

    @abstractmethod
    def steps(self, place: dict[str, Any] | None, begun: datetime) -> Iterator[Step]:
        """Yield the steps after a place, None for all. Activities after ``begun`` may be new in the source."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    def _keep(self, old_id: str, activity: Activity | None) -> None:
        """Remember the activity of an id, for aggregated feeds, and its new id, for flat ones."""
        self._known[old_id] = activity
        if len(self._known) > _KEPT_ACTIVITIES:
            self._known.popitem(last=False)
        self._keep_id(old_id, activity)

    def _keep_id(self, old_id: str, activity: Activity | None) -> None:
        self._ids[old_id] = None if activity is None else activity.serialization_id
        if len(self._ids) > _KEPT_IDS:
            self._ids.popitem(last=False)

    def _checked_target(self, rule: FeedRule, key: str, user: str) -> str | None:
        try:
            return check_key(rule.target_of(key, user))
        except FeedstoreError as error:
            self.findings.note("feeds whose key cannot be stored", error)
            return None


class StreamRedis(StreamSource):
    """The activities in the hashes ``global:0`` to ``global:9``, and the feeds in sorted sets.

    It holds about 1,000 entries of feeds, the ids of 200,000 activities and 20,000 whole ones.
    """

    def __init__(self, url: str, converter: Converter, rules: FeedRules, activities: Sequence[str]) -> None:
        from feedstore.backends.redis.foreign import ForeignRedis

        super().__init__(converter, rules)
        self._redis = ForeignRedis(url)
        self._hashes = list(activities)
        self.label = self._redis.label
        # Every entry of a feed converts its activity again. The findings have counted the first time.
        self._second = Converter(converter.verbs, None, SKIP, ImportFindings())

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def steps(self, place: dict[str, Any] | None, begun: datetime) -> Iterator[Step]:
        """Yield 1,000 activities in a step, and then 1,000 entries of feeds."""
        run = self._redis.run_id()
        if place is None or place["run"] != run:
            # The cursors of a scan mean nothing in another run of the server.
            place = {"run": run, "phase": "activities", "shard": 0, "cursor": 0}
        if place["phase"] == "activities":
            yield from self._activity_steps(place)
            place = {"run": run, "phase": "feeds", "cursor": 0}
        for cursor, keys in self._redis.keys(place["cursor"]):
            yield from self._feed_steps(keys, begun)
            yield Step((), (), {"run": run, "phase": "feeds", "cursor": cursor} if cursor else None)

    def _activity_steps(self, place: dict[str, Any]) -> Iterator[Step]:
        shards = [f"{name}:{number}" for name in self._hashes for number in range(_SHARDS)]
        start = place["cursor"]
        for shard in range(place["shard"], len(shards)):
            for cursor, fields in self._redis.fields(shards[shard], start):
                found = [self._stored(field.decode(errors="replace"), data) for field, data in fields.items()]
                after = {"shard": shard, "cursor": cursor} if cursor else {"shard": shard + 1, "cursor": 0}
                yield Step([one for one in found if one is not None], (), {**place, **after})
            start = 0

    def _stored(self, old_id: str, data: bytes) -> Activity | None:
        activity = self.converter.activity(old_id, data)
        self._keep_id(old_id, activity)
        return activity

    def _feed_steps(self, keys: Sequence[bytes], begun: datetime) -> Iterator[Step]:
        """Yield the feeds among some keys, in groups with a bounded number of entries."""
        kinds = self._redis.types(keys)
        sets = [key for key, kind in zip(keys, kinds, strict=True) if kind == "zset"]
        chosen = [key for key in sets if self._is_chosen(key)]
        self.other_keys += len(sets) - len(chosen)
        group: list[bytes] = []
        size = 0
        for key, length in zip(chosen, self._redis.lengths(chosen), strict=True):
            if group and size + length > _MEMBERS_A_STEP:
                yield from self._steps_of([self._whole(group)], begun)
                group, size = [], 0
            if length > _MEMBERS_A_STEP:
                yield from self._steps_of(([(key, members)] for members in self._redis.members(key)), begun)
            else:
                group.append(key)
                size += length
        if group:
            yield from self._steps_of([self._whole(group)], begun)

    def _whole(self, keys: Sequence[bytes]) -> _Parts:
        return list(zip(keys, self._redis.first_members(keys, _MOST_MEMBERS), strict=True))

    def _steps_of(self, some: Iterable[_Parts], begun: datetime) -> Iterator[Step]:
        """Yield a step for each list of parts of feeds.

        Marks of aggregated activities that no part holds count as lost.
        """
        unheld: dict[str, list[set[str]]] = {}
        for parts in some:
            yield self._step(parts, begun, unheld)
        self.findings.note(_UNHELD_MARKS, number=sum(len(one) for both in unheld.values() for one in both))

    def _is_chosen(self, key: bytes) -> bool:
        try:
            return self.rules.find(key.decode()) is not None
        except UnicodeDecodeError:
            self.findings.note("sorted sets whose key is not UTF-8", InputError(f"the key {shown(key)} is not UTF-8"))
            return False

    def _step(self, found: _Parts, begun: datetime, unheld: dict[str, list[set[str]]]) -> Step:
        fresh: dict[int, Activity] = {}
        feeds: list[ImportedFeed] = []
        read = [one for one in (self._read(key, members) for key, members in found) if one is not None]
        known = {FLAT: self._ids}
        looked_up = self._look_up(
            old_id for feed in read for old_id in feed.old_ids if old_id not in known.get(feed.kind, self._known)
        )
        marks = self._marks([feed for feed in read if feed.kind == NOTIFICATION])
        for feed in read:
            if feed.kind == FLAT:
                feeds.append(ImportedFeed(feed.target, self._references_to(feed.old_ids)))
            else:
                members = [(group, [*group.activities, *self._members_of(group.ids)]) for group in feed.groups]
                grouping = Grouping(feed.rule, feed.kind, self.findings)
                feeds.append(grouping.feed(feed.target, members, marks.get(feed.key)))
                if feed.key in marks:
                    held = {group.mark for group in feed.groups}
                    unheld[feed.key] = [one - held for one in unheld.get(feed.key, marks[feed.key])]
                fresh.update((one.serialization_id, one) for group in feed.groups for one in group.activities)
        # The first phase has stored the others.
        fresh.update((one.serialization_id, one) for one in looked_up if one.time >= begun)
        return Step(list(fresh.values()), feeds, None)

    def _read(self, raw_key: bytes, members: Members) -> _ReadFeed | None:
        key = raw_key.decode()
        found = self.rules.find(key)
        if found is None or not members:
            return None
        rule, user = found
        kind = _kind_of(members[0][0]) if rule.kind == AUTO else rule.kind
        if kind == AUTO:
            self.other_keys += 1
            return None
        target = self._checked_target(rule, key, user)
        if target is None:
            return None
        if kind == FLAT:
            ids = [old_id for member, score in members if (old_id := self._flat_id(member, score)) is not None]
            return _ReadFeed(key, target, rule, user, kind, ids, ())
        groups = [group for member, _ in members if (group := self._group(member)) is not None]
        return _ReadFeed(key, target, rule, user, kind, [one for group in groups for one in group.ids], groups)

    def _flat_id(self, member: bytes, score: float) -> str | None:
        if not member.isdigit():
            self.findings.note(_OTHER_MEMBERS, InputError(f"{shown(member[:80])} is no id of an activity"))
            return None
        if float(member) != score:
            self.findings.changed["entries with another score than their id, which are ordered by time"] += 1
        return member.decode()

    def _group(self, member: bytes) -> OldGroup | None:
        try:
            return self.converter.group(member)
        except RefusedError:
            raise
        except FeedstoreError as error:
            self.findings.note(_OTHER_MEMBERS, error)
            return None

    def _look_up(self, old_ids: Iterable[str]) -> list[Activity]:
        """Read and remember the activities of ids, 1,000 in a round trip. Return those that are there."""
        missing = list(dict.fromkeys(old_ids))
        present = []
        for first in range(0, len(missing), _FIELDS_A_READ):
            part = missing[first : first + _FIELDS_A_READ]
            found: dict[str, bytes] = {}
            for name in self._hashes:
                values = self._redis.values([(_shard_of(name, one), one) for one in part])
                found.update((one, value) for one, value in zip(part, values, strict=True) if value is not None)
            for old_id in part:
                data = found.get(old_id)
                activity = None if data is None else self._second.activity(old_id, data)
                self._keep(old_id, activity)
                present += [] if activity is None else [activity]
        return present

    def _members_of(self, old_ids: Sequence[str]) -> list[Activity]:
        # More activities may have been looked up for this step than are remembered.
        self._look_up(old_id for old_id in old_ids if old_id not in self._known)
        return self._present([self._known.get(old_id) for old_id in old_ids])

    def _references_to(self, old_ids: Sequence[str]) -> list[ActivityRef]:
        return list(map(ActivityRef, self._present([self._ids.get(old_id) for old_id in old_ids])))

    def _present(self, found: Sequence[_Found | None]) -> list[_Found]:
        """Return the values that are not None, and count the others as lost."""
        present = [one for one in found if one is not None]
        self.findings.note(_MISSING, number=len(found) - len(present))
        return present

    def _marks(self, feeds: Sequence[_ReadFeed]) -> dict[str, list[set[str]]]:
        """Return the marks of notification feeds by their keys, in one round trip."""
        lists = self._redis.lists([key for feed in feeds for key in feed.rule.markers_of(feed.user)])
        sets = [{one.decode(errors="replace") for one in items} for items in lists]
        return {feed.key: sets[2 * place : 2 * place + 2] for place, feed in enumerate(feeds)}


class _ReadFeed(NamedTuple):
    key: str
    target: str
    rule: FeedRule
    user: str
    kind: str
    old_ids: Sequence[str]
    groups: Sequence[OldGroup]


def _kind_of(member: bytes) -> str:
    """Return the kind of a feed with a member, or ``auto`` if the sorted set is no feed."""
    if member.isdigit() and len(member) > _LEAST_DIGITS:
        return FLAT
    parts = member.split(b";;")
    if not member.startswith(b"v3") or len(parts) < 6:
        return AUTO
    if b"," not in parts[5]:
        return AGGREGATED
    return NOTIFICATION if parts[3] == parts[4] == b"-1" else TIMED


def _shard_of(name: str, old_id: str) -> str:
    return f"{name}:{int(md5(old_id.encode(), usedforsecurity=False).hexdigest(), 16) % _SHARDS}"


class StreamCassandra(StreamSource):
    """The feeds in the tables of stream_framework's models. Their rows hold the activities."""

    def __init__(self, url: str, converter: Converter, rules: FeedRules) -> None:
        from feedstore.backends.cassandra.foreign import ForeignKeyspace

        super().__init__(converter, rules)
        self._keyspace = ForeignKeyspace(url)
        self.label = self._keyspace.label

    def close(self) -> None:
        """Close the connections."""
        self._keyspace.close()

    def steps(self, place: dict[str, Any] | None, begun: datetime) -> Iterator[Step]:
        """Yield 1,000 rows in a step."""
        tables = {name: kind for name, columns in self._keyspace.tables().items() if (kind := _kind_of_table(columns))}
        for table in sorted(tables):
            if place is not None and table < place["table"]:
                continue
            after = place["token"] if place is not None and table == place["table"] else None
            yield from self._table_steps(table, tables[table], len(tables) == 1, after)

    def _table_steps(self, table: str, kind: str, is_alone: bool, after: int | None) -> Iterator[Step]:
        columns = _FLAT_COLUMNS if kind == FLAT else _GROUP_COLUMNS
        for rows in self._keyspace.rows(table, columns, "feed_id", after):
            activities: list[Activity] = []
            feeds: list[ImportedFeed] = []
            for feed_id, own in groupby(rows, key=itemgetter("feed_id")):
                feed = self._feed(table, feed_id, kind, is_alone, list(own), activities)
                feeds += [] if feed is None else [feed]
            # The last partition of a read may go on in the next one.
            whole = [row["token"] for row in rows if row["token"] != rows[-1]["token"]]
            yield Step(activities, feeds, {"table": table, "token": whole[-1]} if whole else None)

    def _feed(
        self, table: str, feed_id: str, kind: str, is_alone: bool, rows: Sequence[_Row], activities: list[Activity]
    ) -> ImportedFeed | None:
        found = self.rules.find(f"{table}/{feed_id}")
        if found is None:
            self.other_keys += 1
            return None
        rule, user = found
        target = self._checked_target(rule, feed_id if is_alone else f"{table}:{feed_id}", user)
        if target is None:
            return None
        if kind == FLAT:
            return ImportedFeed(target, [one for row in rows if (one := self._activity(row, activities)) is not None])
        groups = [group for row in rows if (group := self._group_row(row)) is not None]
        activities.extend(one for group in groups for one in group.activities)
        grouping = Grouping(rule, AGGREGATED if rule.kind == AUTO else rule.kind, self.findings)
        return grouping.feed(target, [(group, group.activities) for group in groups], None)

    def _activity(self, row: _Row, activities: list[Activity]) -> Activity | None:
        # Every feed has a copy of its activities.
        old_id = str(row["activity_id"])
        if old_id not in self._known:
            activity = self.converter.row(row)
            self._keep(old_id, activity)
            if activity is not None:
                activities.append(activity)
        return self._known[old_id]

    def _group_row(self, row: _Row) -> OldGroup | None:
        try:
            return self.converter.group_row(row)
        except FeedstoreError as error:
            self.converter.refuse(f"the aggregated activity {row['activity_id']}", error)
            return None


def _kind_of_table(columns: set[str]) -> str | None:
    for kind, own in ((FLAT, _FLAT_COLUMNS), (AGGREGATED, _GROUP_COLUMNS)):
        if columns.issuperset(own):
            return kind
    return None
