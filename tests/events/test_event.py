"""Events without a store."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from feedstore.events import Event, InvalidSearchError


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
