"""``feedstore feed``."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from cli.running import CommandLine
from feedstore import Activity, connect
from feedstore.feeds import AggregatedFeed, Feed, NotificationFeed
from feedstore.ids import id_to_text
from feedstore.serializers import MsgpackSerializer

KEY = "notification:{bob}"
START = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
LIKES = [
    Activity(actor, "like", f"photo:{photo}", time=START + timedelta(minutes=minute))
    for minute, (actor, photo) in enumerate([("ann", 7), ("cem", 7), ("eve", 8)])
]


class HomeFeed(Feed):
    """A flat feed."""

    key_format = "home:{user_id}"


class CopyFeed(Feed):
    """A flat feed of copies."""

    key_format = "copy:{user_id}"
    serializer_class = MsgpackSerializer


@pytest.fixture
def feeds(filled: Path) -> None:
    """Bob's feeds in the store of the command line."""
    with connect(f"sqlite:///{filled / 'feeds.db'}") as backend:
        HomeFeed("dan", backend).insert_activities(LIKES)
        HomeFeed("dan", backend).add_many(LIKES)
        NotificationFeed("bob", backend).add_many(LIKES)


@pytest.mark.usefixtures("feeds")
def test_groups_for_people(feedstore: CommandLine) -> None:
    result = feedstore("feed", "show", KEY, "--limit", "1")
    assert (result.status, result.err) == (0, "")
    header, row, _, more = result.out.splitlines()
    assert header.split() == ["updated", "(UTC)", "actors", "verb", "objects", "activities", "marks", "id"]
    assert row.split()[:8] == ["2026-05-01", "12:02:00", "eve", "like", "photo:8", "1", "unseen,", "unread"]
    (second,) = feedstore("feed", "show", KEY, "--json", "--cursor", more.split()[-1]).json["items"]
    assert (second["actor_ids"], second["activity_count"], second["is_seen"]) == (["cem", "ann"], 2, False)
    assert [one["id"] for one in second["activities"]] == [id_to_text(one.id) for one in LIKES[1::-1]]


@pytest.mark.usefixtures("feeds")
def test_a_flat_feed(feedstore: CommandLine) -> None:
    header, *rows = feedstore("feed", "show", "home:dan").out.splitlines()
    assert header.split() == ["time", "(UTC)", "actor", "verb", "object", "id"]
    assert [row.split()[2] for row in rows] == ["eve", "cem", "ann"]
    assert len(feedstore("feed", "show", "home:dan", "--json").json["items"]) == 3
    assert feedstore("feed", "count", "home:dan", "--json").json == {"key": "home:dan", "entries": 3}
    result = feedstore("feed", "mark", "home:dan", "--all")
    assert (result.status, "is a flat feed" in result.err) == (2, True)


@pytest.mark.usefixtures("feeds")
def test_counts_and_marks(feedstore: CommandLine) -> None:
    assert "unread groups" in feedstore("feed", "count", KEY).out
    group = feedstore("feed", "show", KEY, "--json").json["items"][0]["id"]
    assert feedstore("feed", "mark", KEY, id_to_text(LIKES[0].id)).out == "2 unseen and 3 unread activities\n"
    for arguments, unseen, unread in (
        ([id_to_text(LIKES[0].id)], 2, 3),
        (["--group", group, "--read"], 1, 2),
        (["--until", id_to_text(LIKES[1].id), "--read"], 0, 0),
    ):
        marked = feedstore("feed", "mark", KEY, *arguments, "--json").json
        assert (marked["unseen"], marked["unread"]) == (unseen, unread)
    result = feedstore("feed", "mark", KEY, "--all")
    assert (result.status, "all are marked" in result.err) == (0, True)
    assert feedstore("feed", "count", KEY, "--json").json == {
        "key": KEY,
        "entries": 3,
        "groups": 2,
        "unseen": 0,
        "unread": 0,
        "unseen_groups": 0,
        "unread_groups": 0,
    }


def test_an_aggregated_feed_has_no_marks(filled: Path, feedstore: CommandLine) -> None:
    with connect(f"sqlite:///{filled / 'feeds.db'}") as backend:
        AggregatedFeed("bob", backend).insert_activities(LIKES)
        AggregatedFeed("bob", backend).add_many(LIKES)
    (group,) = feedstore("feed", "show", "aggregated:bob", "--json").json["items"]
    assert (group["activity_count"], group["is_seen"], group["is_read"]) == (3, None, None)
    result = feedstore("feed", "mark", "aggregated:bob", "--all")
    assert (result.status, "without marks" in result.err) == (0, True)


def test_a_feed_of_copies_is_not_shown(filled: Path, feedstore: CommandLine) -> None:
    with connect(f"sqlite:///{filled / 'feeds.db'}") as backend:
        CopyFeed("bob", backend).add_many(LIKES)
    result = feedstore("feed", "show", "copy:bob", "--json")
    assert (result.json["items"], "not in the activity storage" in result.err) == ([], True)


@pytest.mark.usefixtures("feeds")
def test_wrong_calls(feedstore: CommandLine) -> None:
    assert "no feed 'home:zed'" in feedstore("feed", "show", "home:zed").err
    for arguments in ([], ["--all", "--until", "5"]):
        assert "pass either ids" in feedstore("feed", "mark", KEY, *arguments).err
    assert feedstore("feed", "mark", KEY, "nonsense").status == 2
