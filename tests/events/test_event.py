"""Events without a store."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from feedstore.events import Event, InvalidEventError, InvalidSearchError, connect_events


def test_an_event_matches_criteria() -> None:
    """Patterns match at the start, tags are literal, and no criteria match everything."""
    event = Event("event-1", "/source/1", 10, ["event", "test"], "event 1")
    assert event.match()
    assert event.match(id="event", source="/source/", start=10, end=10, content="event .$", tags=["test", "event"])
    assert event.match(start=0)
    assert not event.match(end=0)
    for criteria in (
        {"id": "vent"},
        {"source": "1"},
        {"start": 11},
        {"end": 9},
        {"tags": ["tes."]},
        {"content": "1"},
    ):
        assert not event.match(**criteria)
    with pytest.raises(InvalidSearchError):
        event.match(content="(")


def test_an_event_has_defaults_and_does_not_change() -> None:
    """The time defaults to now, and 0 stays 0."""
    before = datetime.now(timezone.utc).timestamp()
    event = Event("1", "s")
    assert before <= event.timestamp <= datetime.now(timezone.utc).timestamp()
    assert (event.tags, event.content) == ((), "")
    assert Event("1", "s", 0).timestamp == 0.0
    assert Event("1", "s", "1491580705.97").timestamp == 1491580705.97
    assert Event("1", "s", 1, ["b", "a", "b"]).tags == ("b", "a")
    with pytest.raises(AttributeError):
        event.id = "2"  # type: ignore[misc]
    assert hash(Event("1", "s", 0)) == hash(Event("1", "s", -0.0))


def test_the_last_times_of_the_year_9999() -> None:
    """They can be saved and found, and the first time of the year 10000 is refused, in every form."""
    last = datetime.max.replace(tzinfo=timezone.utc)
    with connect_events("memory://") as store:
        store.save_many([Event("1", "s", last), Event("2", "s", 253_402_300_799.999)])
        assert [event.id for event in store.search("9999-12-30T00:00:00Z")] == ["2", "1"]
        assert store.count() == store.count("9999-12-31T00:00:00Z", last) == 2
    ahead = last.replace(tzinfo=timezone(timedelta(hours=-1)))
    for time in (253_402_300_800, 253_402_300_800.0, "253402300800", "1e15", "nan", "inf", float("inf"), ahead):
        with pytest.raises(InvalidEventError, match="outside the years 1 to 9999"):
            Event("1", "s", time)
    with pytest.raises(InvalidEventError, match="'today' is no time"):
        Event("1", "s", "today")
