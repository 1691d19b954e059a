"""For any adds, removals and trims, and any cuts of the connection: a client ends with all entries, or has received a
gap and read again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import soak
from feedstore import Activity, connect
from feedstore.ids import MAX_ID
from feedstore.live import LiveTimelines, reader
from feedstore.storage import Backend
from live.reading import Client, ids_of

WINDOW = 5
MOST_MISSED = 6
KEY = "feed:bob"
SECONDS = 10
# Few ids, so that an added entry is new, late, or present already. Both ends of the ids are among them.
IDS = (0, *range(1000, 1016), MAX_ID - 1, MAX_ID)

ids = st.sampled_from(IDS)
additions = st.tuples(st.just("add"), st.lists(ids, min_size=1, max_size=2))
steps = st.one_of(
    additions,
    additions,
    st.tuples(st.just("add"), st.lists(ids, min_size=5, max_size=9)),
    st.tuples(st.just("remove"), st.lists(ids, min_size=1, max_size=3)),
    st.tuples(st.just("trim"), st.integers(0, 12)),
    st.tuples(st.just("delete"), st.just(0)),
    st.tuples(st.just("cut"), st.integers(0, 600)),
    st.tuples(st.just("connect"), st.just(0)),
    st.tuples(st.just("take"), st.just(0)),
)


class Scene:
    """A timeline, a client that follows it, and the final checks of both."""

    def __init__(self, backend: Backend) -> None:
        self.timelines = backend.timeline_storage(notifier=backend.notifier())
        backend.activity_storage().add_many([Activity("ann", "like", f"photo:{one}", id=one) for one in IDS])
        self.live = LiveTimelines(
            backend, window=WINDOW, most_missed=MOST_MISSED, most_waiting=4, settle_seconds=0.001, threads=2
        )
        self.client = Client(self.live, self.timelines, KEY)
        self.is_connected = False
        self.was_below: set[int] = set()

    async def act(self, step: str, argument: Any) -> None:
        """Do one thing."""
        if step == "add":
            self.timelines.add_many(KEY, argument)
        elif step == "remove":
            self.timelines.remove_many(KEY, argument)
        elif step == "trim":
            self.timelines.trim(KEY, argument)
        elif step == "delete":
            self.timelines.delete(KEY)
        elif step == "take":
            await self._take(None)
        elif (step == "connect") is not self.is_connected:
            await self._connect_or_cut(argument)
        self._note_what_is_below()

    def _note_what_is_below(self) -> None:
        """Note the history: the entries below the window, and those that the client puts there."""
        held = [one.serialization_id for one in self.timelines.get_slice(KEY, 0, None)]
        self.was_below.update(held[WINDOW:])
        if len(held) >= WINDOW:
            self.was_below |= {one for one in self.client.known if one < held[WINDOW - 1]}

    async def _connect_or_cut(self, most_bytes: Any) -> None:
        if self.is_connected:
            await self._take(most_bytes)
            self.client.cut()
        else:
            await self.client.connect()
        self.is_connected = not self.is_connected

    async def _take(self, most_bytes: Any) -> None:
        if self.is_connected:
            try:
                await asyncio.wait_for(self.client.take(most_bytes), 0.005)
            except TimeoutError:
                return

    async def settle(self) -> None:
        """Reconnect if cut, and receive until the client's copy equals the timeline."""
        if not self.is_connected:
            await self._connect_or_cut(0)
        deadline = time.monotonic() + SECONDS
        while self._wrong():
            assert time.monotonic() < deadline, f"wrong about {self._wrong()}"
            await self._take(None)

    def _wrong(self) -> set[int]:
        """The wrong ids in the client's copy of the newest entries. Entries that were once below them are history."""
        newest = ids_of(self.timelines.get_slice(KEY, 0, WINDOW))
        lowest = min(newest) if len(newest) == WINDOW else 0
        known = {one for one in self.client.known if one >= lowest}
        return (known ^ newest) - self.was_below


@pytest.fixture(autouse=True)
def shallow_first_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "FEW_ENTRIES", 2)


@settings(max_examples=soak.count(50, 10_000))
@given(st.lists(steps, min_size=4, max_size=25))
def test_a_client_ends_with_everything_or_was_told_of_a_gap(history: list[tuple[str, Any]]) -> None:
    async def play() -> None:
        with connect("memory://") as backend:
            scene = Scene(backend)
            await scene.act("connect", 0)
            for step, argument in history:
                await scene.act(step, argument)
            await scene.settle()
            assert set(scene.client.told_twice) <= scene.was_below
            await scene.live.close()

    asyncio.run(play())
