"""Rules of retention."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from feedstore import Activity, connect
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.events import BackendEventStore, Event
from feedstore.feeds import NotificationFeed
from feedstore.privacy import RetentionRule, apply_retention, read_rules
from feedstore.storage import Backend

NOW = datetime(2026, 5, 31, 12, tzinfo=timezone.utc)


def posts(count: int) -> list[Activity]:
    """Activities of the last days, a day apart, the newest of them now."""
    return [Activity("ann", "post", number, time=NOW - timedelta(days=number)) for number in range(count)]


def filled() -> Backend:
    backend = connect("memory://")
    backend.activity_storage().add_many(posts(10))
    for key in ("home:bob", "home:cem", "user:ann"):
        backend.timeline_storage().add_many(key, posts(10))
    backend.timeline_storage(name="others").add_many("home:bob", posts(10))
    return backend


def counts(backend: Backend) -> list[int]:
    timelines = [backend.timeline_storage(), backend.timeline_storage(name="others")]
    return [timelines[0].count("home:bob"), timelines[0].count("user:ann"), timelines[1].count("home:bob")]


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (["keep 4 entries of home:*"], [4, 10, 10]),
        (["keep 1 entry of *:ann"], [10, 1, 10]),
        (["keep 0 entries of home:bob in others"], [10, 10, 0]),
        (["keep 3 days of *"], [4, 4, 10]),
        (["keep 49 hours of home:*", "keep 1 week of user:ann"], [3, 8, 10]),
        (["keep 3 days of home:*", "keep 2 entries of home:*"], [2, 10, 10]),
        (["keep 9000000 days of *", "keep 30 days of *", "keep 800 entries of *"], [10, 10, 10]),
        (["keep 3 days of HOME:*", "keep 3 days of home", "keep 3 days of .*"], [10, 10, 10]),
    ],
)
def test_rules_trim_timelines(rules: list[str], left: list[int]) -> None:
    backend = filled()
    expected = apply_retention(backend, rules, dry_run=True, now=NOW)
    assert counts(backend) == [10, 10, 10]
    found = apply_retention(backend, rules, now=NOW)
    assert counts(backend) == left
    if len(rules) == 1:
        assert found == expected
    assert [one.removed for one in apply_retention(backend, rules, now=NOW)] == [0] * len(rules)


def test_a_trim_raises_the_floor() -> None:
    backend = filled()
    apply_retention(backend, ["keep 3 days of home:bob"], now=NOW)
    page = backend.timeline_storage().get_page("home:bob", 10)
    assert (page.complete, len(page)) == (False, 4)


def test_marks_follow_their_feed() -> None:
    backend = connect("memory://")
    bell = NotificationFeed("bob", backend)
    bell.add_many(posts(10))
    result = apply_retention(backend, ["keep 3 entries of notification:*"])[0]
    assert (result.timelines, result.removed, bell.unseen_count(), bell.unread_count()) == (1, 7, 3, 3)


def test_activities_and_events_are_kept_by_age() -> None:
    backend = filled()
    events = BackendEventStore(backend)
    events.save_many(Event(str(number), "app", NOW - timedelta(days=number)) for number in range(10))
    rules = [f"keep 3 days of {subject}" for subject in ("activities", "events")]
    assert [one.removed for one in apply_retention(backend, rules, dry_run=True, now=NOW)] == [6, 6]
    assert [one.removed for one in apply_retention(backend, rules, now=NOW)] == [6, 6]
    assert (len(list(backend.activity_storage().iterate())), events.count()) == (4, 4)
    for age in ("9000000 days", "90000 days"):
        rules = [f"keep {age} of {subject}" for subject in ("activities", "events")]
        assert [one.removed for one in apply_retention(backend, rules, now=NOW)] == [0, 0]


def test_rules_of_a_file() -> None:
    rules = read_rules(["# feeds", "", "  keep 2 weeks of feed:*  ", "keep 25 hours of a in b", "keep 5 entries of c"])
    assert [str(one) for one in rules] == ["keep 14 days of feed:*", "keep 25 hours of a in b", "keep 5 entries of c"]
    assert [RetentionRule.parse(str(one)) for one in rules] == rules


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("keep feed:*", "is no rule of retention"),
        ("keep -1 days of feed:*", "is no rule of retention"),
        ("keep 3 months of feed:*", "is no rule of retention"),
        ("keep 999999999 weeks of feed:*", "keeps longer than a time can be"),
        ("keep 5 entries of events", "has an age"),
    ],
)
def test_wrong_rules_are_refused(rule: str, reason: str) -> None:
    with pytest.raises(InvalidValueError, match=reason):
        RetentionRule.parse(rule)


def test_rules_of_wrong_types_are_refused() -> None:
    wrong: Any = 7
    with pytest.raises(InvalidTypeError):
        RetentionRule.parse(wrong)
    with pytest.raises(InvalidValueError, match="either an age or a length"):
        RetentionRule("home:*")
    with pytest.raises(InvalidValueError, match="timezone"):
        apply_retention(connect("memory://"), ["keep 1 day of home:*"], now=NOW.replace(tzinfo=None))
