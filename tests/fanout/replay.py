"""Real activities and follows in the order of their times, and a model of the feeds that they make."""

from __future__ import annotations

import csv
import gzip
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

from feedstore import Activity
from feedstore.fanout import FeedManager

ALSO_TO_TARGET = {"ack", "report", "co-author", "sign-off", "star", "fork"}
"""The verbs of activities that reach the followers of their target, too."""
COPY_LIMIT = 500


class Follow(NamedTuple):
    """A follow, or its end."""

    time: datetime
    follower: str
    followed: str
    ends: bool = False
    keeps_history: bool = False


Event = Activity | Follow


def read_events(activities: Path, follows: Path, lasts: timedelta, first: int, last: int | None) -> list[Event]:
    """Return the events of two files by time, follows before the activities of the same time.

    Of the activities before number ``first``, the follows alone are returned; those from ``last`` on end the events.

    The files hold no end of a follow. Every third follow ends after ``lasts``, every other one of these keeps its
    history, and every third one of these begins again after another span of the same length.
    """
    rows = list(islice(_rows(activities), last))
    end = datetime.fromisoformat(rows[-1]["time"])
    events: list[Event] = []
    for number, row in enumerate(_rows(follows)):
        time, pair = datetime.fromisoformat(row["time"]), (row["follower"], row["followee"])
        events.append(Follow(time, *pair))
        if number % 3 == 0:
            events.append(Follow(time + lasts, *pair, True, number % 2 == 0))
        if number % 9 == 0:
            events.append(Follow(time + 2 * lasts, *pair))
    events = [event for event in events if event.time <= end]
    for row in rows[first:]:
        time, target = datetime.fromisoformat(row["time"]), row["target"] or None
        events.append(Activity(row["actor"], row["verb"], row["object"], target, time=time, foreign_id=row["id"]))
    return sorted(events, key=lambda event: event.time)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def other_target(activity: Activity) -> str | None:
    """Return the user or thing whose followers receive an activity, too."""
    target = None if activity.target is None else str(activity.target)
    return target if activity.verb in ALSO_TO_TARGET and target != activity.actor else None


class Model:
    """The feeds of all users as plain lists of ids, the oldest first."""

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self.followed: dict[str, set[str]] = defaultdict(set)
        self._followers: dict[str, set[str]] = defaultdict(set)
        self.own: dict[str, list[int]] = defaultdict(list)
        self.homes: dict[str, list[int]] = defaultdict(list)
        self._sources: dict[int, set[str]] = {}
        self.trimmed = self.removed = 0

    def set_follow(self, event: Follow) -> None:
        """Begin or end a follow without a change of feeds."""
        change = set.discard if event.ends else set.add
        change(self.followed[event.follower], event.followed)
        change(self._followers[event.followed], event.follower)

    def apply(self, event: Event) -> None:
        """Apply an event."""
        if isinstance(event, Activity):
            self._publish(event)
            return
        self.set_follow(event)
        own = self.own[event.followed]
        if not event.ends:
            self._add(event.follower, own[-COPY_LIMIT:])
        elif not event.keeps_history:
            self._remove(event.follower, own)

    def _publish(self, activity: Activity) -> None:
        actor, target = str(activity.actor), other_target(activity)
        sources = {actor} if target is None else {actor, target}
        self._sources[activity.serialization_id] = sources
        readers = set(self._followers[actor])
        if target is not None:
            # The actor's own activity does not come back to the actor by the target.
            readers |= self._followers[target] - {actor}
        for source in sources:
            insort(self.own[source], activity.serialization_id)
        for reader in readers:
            self._add(reader, [activity.serialization_id])

    def _add(self, reader: str, ids: Iterable[int]) -> None:
        home = self.homes[reader]
        for one in ids:
            place = bisect_left(home, one)
            if home[place : place + 1] != [one]:
                home.insert(place, one)
        over = max(len(home) - self._max_length, 0)
        self.trimmed += over
        del home[:over]

    def _remove(self, reader: str, ids: Iterable[int]) -> None:
        gone = {one for one in ids if not self._sources[one] & self.followed[reader]}
        kept = [one for one in self.homes[reader] if one not in gone]
        self.removed += len(self.homes[reader]) - len(kept)
        self.homes[reader] = kept


def replay(events: Iterable[Event], manager: FeedManager) -> None:
    """Apply events through a manager; activities in a row are one call, those of one actor an import."""
    for is_plain, some in groupby(events, _goes_to_followers_alone):
        if not is_plain:
            for event in some:
                _apply(event, manager)
            continue
        activities = [one for one in some if isinstance(one, Activity)]
        actors = {str(one.actor) for one in activities}
        if len(actors) == 1:
            manager.batch_import(actors.pop(), activities)
        else:
            manager.add_user_activities(activities)


def _goes_to_followers_alone(event: Event) -> bool:
    return isinstance(event, Activity) and other_target(event) is None


def _apply(event: Event, manager: FeedManager) -> None:
    if isinstance(event, Activity):
        target = other_target(event)
        targets = [] if target is None else [("user", target)]
        manager.add_user_activity(event.actor, event, to=targets, to_followers=True)
    elif event.ends:
        manager.unfollow_user(event.follower, event.followed, keep_history=event.keeps_history)
    else:
        manager.follow_user(event.follower, event.followed, copy_limit=COPY_LIMIT)
