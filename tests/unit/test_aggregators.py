"""Aggregators: the names of groups, and the bytes of aggregated activities."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime, timezone
from typing import Any

import pytest

from feedstore import Activity
from feedstore.aggregated import AggregatedActivity, new_group
from feedstore.errors import InvalidCursorError, InvalidTypeError, InvalidValueError, StoredDataError
from feedstore.feeds import (
    AggregatedFeed,
    Aggregator,
    EntryGroup,
    FunctionAggregator,
    NotificationAggregator,
    RecentVerbAggregator,
    TemplateAggregator,
)
from feedstore.feeds.aggregators import as_aggregator
from feedstore.feeds.groups import FeedEntries, IdsAt, decode_group_cursor, encode_group_cursor, ends_of
from feedstore.rendering import SentenceRenderer
from feedstore.serializers import AggregatedActivitySerializer
from feedstore.verbs import Verb, VerbRegistry

TIME = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
LIKE = Activity("ann", "like", "photo:7", time=TIME, extra_context={"topic": "a-b"})
LOGIN = Activity("ann", "log-in", time=TIME)
AGGREGATED = AggregatedActivity(255, "like-photo:7", (LIKE,), 3, False, TIME, TIME, is_seen=True, is_read=False)


class SpecialGroup(AggregatedActivity):
    """An application's own class of aggregated activities."""


GOLDEN = (
    "4198ac6c696b652d70686f746f3a3703c2cf000650c0be318600cf000650c0be318600c3c29197c410019de384a853774ba906f1549940666d"
    "a3616e6ea46c696b65a770686f746f3a37c0cf000650c0be31860081a5746f706963a3612d62"
)


@pytest.mark.parametrize(
    ("aggregator", "activity", "group"),
    [
        (RecentVerbAggregator(), LIKE, "like-2026-05-01"),
        (RecentVerbAggregator("hour"), LIKE, "like-2026-05-01T12"),
        (RecentVerbAggregator(None), LIKE, "like"),
        (NotificationAggregator(), LIKE, "like-photo:7-2026-05-01"),
        (NotificationAggregator(None), LOGIN, "log%2Din-"),
        (TemplateAggregator("{verb}-{object}"), LOGIN, "log%2Din-"),
        (TemplateAggregator("{verb}/{time:%Y-%m}"), LIKE, "like/2026-05"),
        (TemplateAggregator("{extra_context[topic]}-{actor!r}"), LIKE, "a%2Db-'ann'"),
        (TemplateAggregator("{actor}{{{verb}"), LIKE, "ann{like"),
        (FunctionAggregator(lambda activity: str(activity.actor)), LIKE, "ann"),
    ],
)
def test_the_name_of_a_group(aggregator: Aggregator, activity: Activity, group: str) -> None:
    assert aggregator.checked_group(activity) == group


def test_different_fields_never_have_one_group() -> None:
    both = [Activity("ann", "a-b", "c"), Activity("ann", "a", "b-c"), Activity("ann", "a%2Db", "c")]
    for aggregator in (
        NotificationAggregator(None),
        TemplateAggregator("{verb}-{object}"),
        TemplateAggregator("{verb:s}-{object:s}"),
    ):
        assert len({aggregator.get_group(activity) for activity in both}) == 3


@pytest.mark.parametrize(
    ("window", "begin"),
    [
        ("day", TIME.replace(hour=0, minute=0, second=0, microsecond=0)),
        ("hour", TIME.replace(minute=0, second=0, microsecond=0)),
        (None, None),
    ],
)
def test_the_begin_of_a_window(window: Any, begin: datetime | None) -> None:
    assert RecentVerbAggregator(window).begin_of(LIKE) == begin


def test_what_may_be_an_aggregator() -> None:
    assert isinstance(as_aggregator(RecentVerbAggregator), RecentVerbAggregator)
    assert isinstance(as_aggregator("{verb}"), TemplateAggregator)
    assert isinstance(as_aggregator(staticmethod(repr)), FunctionAggregator)
    for wrong in (5, None, Activity):
        with pytest.raises(InvalidTypeError, match="an aggregator is"):
            as_aggregator(wrong)
    for template in ("{verb.__class__}", "{}", "{0}", "{verb[0]}", "{verb}-{unknown}"):
        with pytest.raises(InvalidValueError, match="unknown placeholder"):
            TemplateAggregator(template)
    for template in ("{actor}{object}", "{actor}x{object}"):
        with pytest.raises(InvalidValueError, match="no separator before 'object'"):
            TemplateAggregator(template)
    with pytest.raises(InvalidValueError, match="placeholder in the format of 'time'"):
        TemplateAggregator("{time:{verb}}")
    with pytest.raises(InvalidValueError, match="window is 'week'"):
        RecentVerbAggregator("week")  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="ranking"):
        RecentVerbAggregator(ranking=5)  # type: ignore[arg-type]


def test_a_missing_value_of_the_context_is_an_error_that_names_the_activity() -> None:
    with pytest.raises(InvalidValueError, match="KeyError: 'topic'"):
        TemplateAggregator("{extra_context[topic]}").checked_group(LOGIN)


def test_a_group_that_is_clipped_keeps_its_newest_members() -> None:
    class Feed(AggregatedFeed):
        aggregator = "{verb}"

    ids, payloads = zip(*Feed._entries_of([LIKE, LOGIN, LIKE]), strict=True)
    entries = FeedEntries(ids, payloads, range(3), range(0), 0, True, None, 1)
    groups = entries.groups(entries.hashes())
    assert [(group.ids, group.activity_count) for group in groups] == [([LIKE.id], 1), ([LOGIN.id], 1)]
    group = EntryGroup(b"", [LOGIN.id, LIKE.id])
    assert group.created_at == group.updated_at == TIME


@pytest.mark.parametrize(("number", "expected"), [(1, [9, 6]), (3, [9, 8, 7, 6]), (4, [9, 8, 7, 6]), (5, [9, 8, 7, 6])])
def test_the_ends_of_a_group_are_its_newest_members_and_its_oldest(number: int, expected: list[int]) -> None:
    ids = [9, 8, 7, 6]
    assert ends_of(ids, number) == ends_of(IdsAt(ids, range(4)), number) == expected


def test_the_cursor_of_groups_is_read_as_it_was_written() -> None:
    hashes = [bytes([number]) * 8 for number in range(40)]
    for newest, some in ((2**128 - 1, hashes), (0, [])):
        cursor = encode_group_cursor("home:bob", True, newest, some)
        assert decode_group_cursor(cursor, "home:bob", True) == (newest, some)
        for key, descending in (("home:ann", True), ("home:bob", False)):
            with pytest.raises(InvalidCursorError, match="another feed than"):
                decode_group_cursor(cursor, key, descending)
        for altered in (cursor[:8] + "!!!!" + cursor[8:], cursor + "=", "", cursor[:-1]):
            with pytest.raises(InvalidCursorError, match="was altered"):
                decode_group_cursor(altered, "home:bob", True)


def test_the_bytes_of_an_aggregated_activity_are_pinned() -> None:
    serializer = AggregatedActivitySerializer()
    assert serializer.dumps(AGGREGATED).hex() == GOLDEN
    assert serializer.loads(bytes.fromhex(GOLDEN), 255) == AGGREGATED
    special = AggregatedActivitySerializer(aggregated_activity_class=SpecialGroup).loads(bytes.fromhex(GOLDEN), 255)
    assert (type(special), special.activities) == (SpecialGroup, AGGREGATED.activities)
    with pytest.raises(InvalidTypeError, match="stores aggregated activities"):
        serializer.dumps(LIKE)
    for damaged in (b"", b"\x11", bytes.fromhex(GOLDEN)[:-1], b"\x41\x90"):
        with pytest.raises(StoredDataError):
            serializer.loads(damaged, 255)


def test_the_constructor_for_feeds_fills_every_field() -> None:
    values = (255, "like-photo:7", (LIKE,), 3, False, TIME, TIME, True, False, 7)
    made = new_group(*values)
    assert tuple(getattr(made, one.name) for one in fields(AggregatedActivity)) == values
    assert made == AGGREGATED == AggregatedActivity(*values)


def test_the_counts_of_an_aggregated_activity() -> None:
    three = tuple(Activity(actor, "like", 7, time=TIME) for actor in ("ann", "bob", "ann"))
    aggregated = AggregatedActivity(1, "like", three, 10, True, TIME, TIME)
    assert (aggregated.actor_ids, aggregated.actor_count, aggregated.other_actor_count) == (["ann", "bob"], 9, 8)
    assert (aggregated.object_ids, aggregated.verbs, aggregated.verb) == ([7], ["like"], "like")
    assert (aggregated.other_activity_count, aggregated.actor_count_is_exact) == (7, False)
    assert AggregatedActivity(1, "like", three, 3, True, TIME, TIME).actor_count_is_exact is True


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ([("ann", "photo 1"), ("ann", "photo 2")], "Ann liked photo 1, photo 2 and 8 others"),
        ([("ann", "photo 1"), ("bob", "photo 1")], "Ann, Bob and 8 others liked photo 1"),
        ([("ann", "photo 1"), ("ann", "photo 1")], "Ann liked photo 1"),
        ([("ann", "photo 1")], "Ann and 9 others liked photo 1"),
    ],
)
def test_the_sentence_of_an_aggregated_activity_counts_what_differs(
    shown: list[tuple[str, str]], sentence: str
) -> None:
    activities = tuple(Activity(actor, "like", photo, time=TIME) for actor, photo in shown)
    aggregated = AggregatedActivity(1, "like", activities, 10, True, TIME, TIME)
    render = SentenceRenderer(VerbRegistry([Verb("like", "liked")]), actor_name=str.title).render
    assert render(aggregated) == sentence


def test_the_json_form_of_an_aggregated_activity() -> None:
    fields = AGGREGATED.to_dict(lambda group: f"{group.actor_ids[0]} liked it")
    assert json.loads(json.dumps(fields)) == fields
    assert fields["activities"] == [LIKE.to_dict()]
    del fields["activities"]
    assert fields == {
        "id": "00000000-0000-0000-0000-0000000000ff",
        "group": "like-photo:7",
        "verb": "like",
        "verbs": ["like"],
        "actor_ids": ["ann"],
        "actor_count": 3,
        "actor_count_is_exact": False,
        "object_ids": ["photo:7"],
        "object_count": 1,
        "activity_count": 3,
        "activity_count_is_exact": False,
        "created_at": "2026-05-01T12:30:15.123456+00:00",
        "updated_at": "2026-05-01T12:30:15.123456+00:00",
        "is_seen": True,
        "is_read": False,
        "sentence": "ann liked it",
    }
    assert "sentence" not in AGGREGATED.to_dict()
