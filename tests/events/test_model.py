"""Random sequences of operations leave an event store as they leave a dictionary."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import soak
from feedstore import connect
from feedstore.errors import EventNotFound
from feedstore.events import BackendEventStore, Event
from feedstore.testing import OpenBackend

DAY = 86_400
IDS = st.sampled_from(["a", "b", "c", "ab", "B", "ü"])
TIMES = st.sampled_from([-DAY, -0.5, 0, 0.25, 1, DAY - 1, DAY, 1.5 * DAY, 9 * DAY])
TAGS = st.lists(st.sampled_from(["x", "y", "xy"]), max_size=3)
CONTENTS = st.sampled_from(["", "one", "two one", "ONE"])
EVENTS = st.builds(Event, IDS, st.just("s"), TIMES, TAGS, CONTENTS)
SEARCHES = st.fixed_dictionaries(
    {"ts_start": TIMES},
    optional={
        "ts_end": st.none() | TIMES,
        "flags": TAGS,
        "match": st.sampled_from(["one", "^one", "", "two|ONE$"]),
        "order": st.sampled_from(["asc", "desc"]),
        "limit": st.integers(1, 4),
    },
)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), EVENTS),
        st.tuples(st.just("save_many"), st.lists(EVENTS, max_size=5)),
        st.tuples(st.just("delete"), IDS),
        st.tuples(st.just("prune"), TIMES),
        st.tuples(st.just("search"), SEARCHES),
    ),
    max_size=25,
)


class Model:
    """An event store as a dictionary by id."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}

    def save(self, event: Event) -> None:
        """Keep an event."""
        self.events[event.id] = event

    def save_many(self, events: list[Event]) -> int:
        """Keep events."""
        self.events.update((event.id, event) for event in events)
        return len(events)

    def delete(self, own_id: str) -> None:
        """Drop an event."""
        if own_id not in self.events:
            raise EventNotFound(own_id)
        del self.events[own_id]

    def prune(self, before: float) -> int:
        """Drop old events."""
        count = len(self.events)
        self.events = {own_id: event for own_id, event in self.events.items() if event.timestamp >= before}
        return count - len(self.events)

    def search(
        self,
        ts_start: float,
        ts_end: float | None = None,
        flags: list[str] | None = None,
        match: str = "",
        order: str = "asc",
        limit: int | None = None,
    ) -> list[Event]:
        """Filter and sort."""
        found = [
            event
            for event in self.events.values()
            if ts_start <= event.timestamp <= (1e18 if ts_end is None else ts_end)
            and set(flags or ()) <= set(event.tags)
            and re.search(match, event.content)
        ]
        found.sort(key=lambda event: (event.timestamp, event.id), reverse=order == "desc")
        return found[:limit]


@settings(max_examples=soak.count(60, 2000))
@given(OPERATIONS)
def test_a_store_in_memory_is_as_the_model(operations: list[tuple[str, Any]]) -> None:
    with connect("memory://") as backend:
        compare(BackendEventStore(backend), operations)


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql", "redis", "redis_cluster", "cassandra"])
def test_every_store_is_as_the_model(open_backend: OpenBackend) -> None:
    @settings(max_examples=soak.count(2, 300))
    @given(OPERATIONS)
    def compare_in_a_fresh_namespace(operations: list[tuple[str, Any]]) -> None:
        compare(BackendEventStore(open_backend()), operations)

    compare_in_a_fresh_namespace()


def compare(store: BackendEventStore, operations: list[tuple[str, Any]]) -> None:
    """Run operations on a store and on the model, and compare each result."""
    model = Model()
    for name, argument in operations:
        arguments = argument if name == "search" else {}
        positional = () if name == "search" else (argument,)
        assert outcome(store, name, positional, arguments) == outcome(model, name, positional, arguments)
    everything = model.search(-1e18)
    assert list(store.search(-1e18)) == everything
    assert list(store.search(-1e18, order="desc")) == everything[::-1]
    assert store.count() == len(everything)
    assert store.flags() == sorted({tag for event in everything for tag in event.tags})
    for flag in ("x", "y", "xy"):
        assert store.count(flags=[flag]) == sum(flag in event.tags for event in everything)


def outcome(subject: Any, name: str, positional: tuple[Any, ...], arguments: dict[str, Any]) -> Any:
    """The result of a call, as a list where it is an iterator; or the kind of the error that it raised."""
    try:
        result = getattr(subject, name)(*positional, **arguments)
    except EventNotFound:
        return EventNotFound
    return list(result) if name == "search" else result
