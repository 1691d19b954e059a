"""The contract of event stores: arguments that they refuse before they call a backend."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from feedstore.errors import EventStoreException, InvalidEventError, InvalidSearchError
from feedstore.events import BackendEventStore, Event
from feedstore.storage import Backend
from feedstore.testing.suite import Suite


class EventArgumentSuite(Suite):
    """Arguments that events and event stores refuse before they call a backend."""

    @pytest.fixture
    def events(self, backend: Backend) -> BackendEventStore:
        """An empty event store."""
        return BackendEventStore(backend)

    def test_events_refuse_wrong_fields(self, events: BackendEventStore) -> None:
        """One wrong event of several, and none of its chunk is saved."""
        make: Any = Event
        values: list[tuple[Any, ...]] = [
            ("", "s"),
            ("1", "s", float("nan")),
            ("1", "s", 1e15),
            ("1", "s", "yesterday"),
            ("1", "s", datetime(2026, 1, 1)),  # noqa: DTZ001
            ("1", "s", 1, [""]),
            ("1", "\ud800", 1),
        ]
        for wrong in values:
            with pytest.raises(InvalidEventError):
                make(*wrong)
        for arguments in ((1, "s"), ("1", b"s"), ("1", "s", True), ("1", "s", 1, "tag"), ("1", "s", 1, [2])):
            with pytest.raises(TypeError):
                make(*arguments)
        save_many: Any = events.save_many
        for wrong_events in ([Event("1", "s"), "2"], "12", Event("1", "s"), None):
            with pytest.raises(TypeError):
                save_many(wrong_events)
        with pytest.raises(TypeError):
            events.save(None)  # type: ignore[arg-type]
        assert events.count() == 0

    def test_searches_and_prunings_refuse_wrong_arguments(self, events: BackendEventStore) -> None:
        """Each is a ValueError and an EventStoreException, raised by the call and not by the iteration."""
        search: Any = events.search
        wrong: list[dict[str, Any]] = [
            {"order": "foo"},
            {"order": None},
            {"order": "ASC"},
            {"ts_start": "yesterday"},
            {"ts_start": float("nan")},
            {"ts_start": None},
            {"ts_end": []},
            {"flags": "a"},
            {"flags": [""]},
            {"flags": 1},
            {"match": "("},
            {"match": b"a"},
            {"match": r"(a)\1"},
            {"match": "(?=a)"},
            {"match": "(?<!a)b"},
            {"match": "(?>a)"},
            {"limit": 0},
            {"limit": "1"},
            {"after": "x"},
            {"after": 1},
            {"order": "desc", "follow": True},
        ]
        for arguments in wrong:
            with pytest.raises(InvalidSearchError) as raised:
                search(**{"ts_start": 0, **arguments})
            assert isinstance(raised.value, ValueError)
            assert isinstance(raised.value, EventStoreException)
        prune: Any = events.prune
        for name, value in (("before", "yesterday"), ("before", None), ("flags", [""]), ("keep_flags", "a")):
            with pytest.raises(InvalidSearchError, match=f"^{name}: "):
                prune(**{"before": 0, name: value})

    def test_a_refused_pattern_names_its_construct(self, events: BackendEventStore) -> None:
        """Constructs of Python's ``re`` that RE2 does not have are refused by name."""
        for pattern, name in ((r"(a)\1", "backreference"), ("(?=a)", "lookahead"), ("(?<=a)b", "lookbehind")):
            with pytest.raises(InvalidSearchError, match=name):
                events.search(0, match=pattern)

    def test_cursors_belong_to_their_order(self, events: BackendEventStore) -> None:
        """An altered cursor, or one of the other order, is refused."""
        events.save_many([Event("1", "s", 1), Event("2", "s", 2)])
        search = events.search(0, limit=1)
        assert search.cursor is None
        next(search)
        cursor = search.cursor
        assert cursor is not None
        assert [event.id for event in events.search(0, after=cursor)] == ["2"]
        for wrong in (cursor[:-1], cursor + "A", cursor[:10] + "x" + cursor[11:], cursor[:9] + "!" + cursor[9:], "é"):
            with pytest.raises(InvalidSearchError):
                events.search(0, after=wrong)
        with pytest.raises(InvalidSearchError, match="order"):
            events.search(0, order="desc", after=cursor)
