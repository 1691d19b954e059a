"""Rules of retention: how long, or how many of, the entries of timelines, the activities and the events are kept."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from feedstore.activity_fields import in_utc
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.events import BackendEventStore
from feedstore.events.event import seconds_of
from feedstore.events.layout import COLLECTION as EVENTS
from feedstore.ids import first_id_at
from feedstore.privacy.parts import MARKS
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Backend, TimelineStorage
from feedstore.storage.backend import checked_backend
from feedstore.storage.checks import DEFAULT_NAME, check_key, checked_iterable

_ACTIVITIES = "activities"
_FORM = re.compile(r"keep\s+([0-9]{1,9})\s+(entry|entries|hours?|days?|weeks?)\s+of\s+(\S+)(?:\s+in\s+(\S+))?")
_EXAMPLES = "'keep 90 days of feed:*' or 'keep 800 entries of home:*'"
_AT_ONCE = 1000
_HOURS = {"hour": 1, "day": 24, "week": 168}


@dataclass(frozen=True)
class RetentionRule:
    """A rule of retention.

    Attributes:
        subject: A pattern of the keys of timelines, in which ``*`` is any characters; ``"activities"`` or ``"events"``.
        age: The age up to which entries are kept, or None.
        length: The number of newest entries that are kept, or None.
        collection: The collection of the timelines or activities.

    >>> RetentionRule.parse("keep 90 days of feed:*").age
    datetime.timedelta(days=90)
    """

    subject: str
    age: timedelta | None = None
    length: int | None = None
    collection: str = DEFAULT_NAME

    def __post_init__(self) -> None:
        check_key(self.subject, "subject")
        check_key(self.collection, "collection")
        if (self.age is None) == (self.length is None):
            raise InvalidValueError("a rule has either an age or a length; pass one of them")
        if self.age is None and self.subject in (_ACTIVITIES, EVENTS):
            raise InvalidValueError(f"a rule of {self.subject} has an age, as in 'keep 90 days of {self.subject}'")

    @classmethod
    def parse(cls, text: str) -> RetentionRule:
        """Return the rule of a str: ``keep NUMBER entries|hours|days|weeks of SUBJECT [in COLLECTION]``."""
        if not isinstance(text, str):
            raise InvalidTypeError(f"a rule must be a str, not {shown(text)}")
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise InvalidValueError(f"{shown(text)} is no rule of retention; write it as {_EXAMPLES}")
        number, unit, subject, collection = int(match[1]), match[2].removesuffix("s"), match[3], match[4]
        place = DEFAULT_NAME if collection is None else collection
        if unit.startswith("entr"):
            return cls(subject, length=number, collection=place)
        try:
            return cls(subject, age=timedelta(hours=number * _HOURS[unit]), collection=place)
        except OverflowError:
            raise InvalidValueError(f"{shown(text)} keeps longer than a time can be; leave the rule out") from None

    @property
    def is_of_timelines(self) -> bool:
        """Whether the subject is a pattern of the keys of timelines."""
        return self.subject not in (_ACTIVITIES, EVENTS)

    def matches(self, key: str) -> bool:
        """Return whether the rule applies to the timeline of a key.

        A rule with a length does not apply to the marks of a notification feed, which follow the feed.
        """
        if self.length is not None and key.endswith(MARKS):
            return False
        pattern = ".*".join(map(re.escape, self.subject.split("*")))
        return re.fullmatch(pattern, key, re.DOTALL) is not None

    def __str__(self) -> str:
        if self.age is None:
            amount = f"{self.length} entries"
        else:
            hours = self.age // timedelta(hours=1)
            amount = f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hours"
        place = "" if self.collection == DEFAULT_NAME else f" in {self.collection}"
        return f"keep {amount} of {self.subject}{place}"


@dataclass
class RetentionResult:
    """The result of a rule.

    Attributes:
        rule: The rule.
        timelines: The number of timelines that the rule applies to; 0 for activities and events.
        trimmed: The number of those that held more than the rule keeps.
        removed: The number of removed entries, activities or events; of a dry run, those that would be removed.
    """

    rule: RetentionRule
    timelines: int = field(default=0)
    trimmed: int = field(default=0)
    removed: int = field(default=0)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name, for programs."""
        return {**vars(self), "rule": str(self.rule)}


def read_rules(lines: Iterable[str]) -> list[RetentionRule]:
    """Return the rules of lines; blank lines, and those that begin with ``#``, are ignored.

    >>> [str(one) for one in read_rules(["# Old posts leave feeds.", "keep 2 weeks of feed:*"])]
    ['keep 14 days of feed:*']
    """
    texts = (line.strip() for line in checked_iterable(lines))
    return [RetentionRule.parse(text) for text in texts if text and not text.startswith("#")]


def apply_retention(
    backend: Backend,
    rules: Iterable[RetentionRule | str],
    *,
    dry_run: bool = False,
    now: datetime | None = None,
) -> list[RetentionResult]:
    """Remove everything that rules do not keep, and return the results in the order of the rules.

    A timeline to which several rules apply is trimmed by each of them. Trimming raises the floor of a timeline, so that
    its readers know that older entries are gone. An entry that is added to a timeline while it is trimmed by age may
    displace the oldest one that the rule keeps. A call that was interrupted may be repeated.

    It walks the keys of all timelines of a collection once, with one or two round trips for each rule that applies to
    one, and two more for a timeline that is trimmed.

    Args:
        backend: The backend.
        rules: The rules, or their strs.
        dry_run: Only count.
        now: The time from which ages count back; by default the current time.

    >>> from feedstore import Activity, connect
    >>> backend = connect("memory://")
    >>> backend.timeline_storage().add_many("home:bob", [Activity("ann", "post", number) for number in range(9)])
    9
    >>> apply_retention(backend, ["keep 5 entries of home:*"])[0].removed
    4
    """
    checked_backend(backend)
    time = in_utc(now)
    given = [RetentionRule.parse(one) if isinstance(one, str) else one for one in checked_iterable(rules)]
    results = [RetentionResult(rule) for rule in given]
    of_timelines = [one for one in results if one.rule.is_of_timelines]
    for collection in dict.fromkeys(one.rule.collection for one in of_timelines):
        _trim_timelines(backend, [one for one in of_timelines if one.rule.collection == collection], time, dry_run)
    for one in results:
        if one.rule.subject == EVENTS:
            _prune_events(backend, one, time, dry_run)
        elif one.rule.subject == _ACTIVITIES:
            _remove_activities(backend, one, time, dry_run)
    return results


def _trim_timelines(backend: Backend, results: list[RetentionResult], now: datetime, dry_run: bool) -> None:
    collection = results[0].rule.collection
    timelines = backend.timeline_storage(name=collection, notifier=backend.notifier(collection))
    for key in timelines.keys():  # noqa: SIM118 - a storage's keys(), not a dictionary's
        for result in results:
            if result.rule.matches(key):
                _trim_timeline(timelines, key, result, now, dry_run)


def _trim_timeline(
    timelines: TimelineStorage[Any], key: str, result: RetentionResult, now: datetime, dry_run: bool
) -> None:
    result.timelines += 1
    total, kept = timelines.count(key), result.rule.length
    if kept is None:
        kept = timelines.count(key, {"activity_id__gte": _lowest_id(result.rule, now)})
    if total <= kept:
        return
    result.trimmed += 1
    result.removed += total - kept
    if not dry_run:
        timelines.trim(key, kept)
        _drop_marks(timelines, key)


def _drop_marks(timelines: TimelineStorage[Any], key: str) -> None:
    """Remove the marks of entries that a notification feed no longer holds. One round trip for another timeline."""
    for marks, entries in timelines.get_many_slices([f"{key}{suffix}" for suffix in MARKS], 0, None).items():
        ids = {one.serialization_id for one in entries}
        if ids:
            timelines.remove_many(marks, ids - timelines.contains_many(key, ids))


def _lowest_id(rule: RetentionRule, now: datetime) -> int:
    try:
        return first_id_at(now - (rule.age or timedelta()))
    except (OverflowError, InvalidValueError):
        # The age reaches back beyond 1970.
        return 0


def _prune_events(backend: Backend, result: RetentionResult, now: datetime, dry_run: bool) -> None:
    store = BackendEventStore(backend)
    try:
        before = now - (result.rule.age or timedelta())
    except OverflowError:
        return
    if dry_run:
        result.removed = store.count(ts_end=math.nextafter(seconds_of(before), -math.inf))
    else:
        result.removed = store.prune(before)


def _remove_activities(backend: Backend, result: RetentionResult, now: datetime, dry_run: bool) -> None:
    activities = backend.activity_storage(name=result.rule.collection)
    for ids in _older(activities, _lowest_id(result.rule, now)):
        result.removed += len(ids)
        if not dry_run:
            activities.remove_many(ids)


def _older(activities: ActivityStorage[Any], lowest: int) -> Iterator[list[int]]:
    found = activities.iterate(before=lowest) if lowest else iter(())
    while some := [one.serialization_id for one in islice(found, _AT_ONCE)]:
        yield some
