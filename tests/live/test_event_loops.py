"""Live timelines on more than one event loop, and in a forked process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from feedstore import Activity, connect
from feedstore.live import LiveTimelines, OtherEventLoopError, TooManyClients
from feedstore.storage import Backend
from feedstore.testing.processes import run_in_child
from live.conftest import KEY
from live.reading import Client


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A backend in memory."""
    with connect("memory://") as backend:
        yield backend


async def see_one(backend: Backend, live: LiveTimelines) -> list[int]:
    """Follow a timeline until one entry has come, and go without saying so."""
    client = Client(live, backend.timeline_storage(), KEY)
    await client.connect()
    await client.take_until("ready")
    activity = Activity("ann", "like", "photo:7")
    backend.activity_storage().add(activity)
    backend.timeline_storage(notifier=backend.notifier()).add(KEY, activity)
    await client.take_until("activity")
    return client.told[-1:]


def test_a_second_event_loop_follows_one_that_is_closed(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """A loop for each request, as in Starlette's TestClient."""
    live = LiveTimelines(backend)
    for number in range(1, 4):
        assert len(asyncio.run(see_one(backend, live))) == 1
        # The watch's callback finds that its loop is gone.
        backend.notifier().publish([KEY])
        assert len(asyncio.run(live.read_page(KEY, 5))["items"]) == number
    asyncio.run(live.close())
    assert caplog.text == ""


def test_a_second_event_loop_is_refused_while_the_first_has_streams(backend: Backend) -> None:
    live, loop = LiveTimelines(backend), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        client = Client(live, backend.timeline_storage(), KEY)
        asyncio.run_coroutine_threadsafe(client.connect(), loop).result(20)
        with pytest.raises(OtherEventLoopError, match="1 streams on another event loop"):
            asyncio.run(see_one(backend, live))
        assert asyncio.run(live.read_page(KEY, 5))["items"] == []
        loop.call_soon_threadsafe(client.cut)
        asyncio.run_coroutine_threadsafe(client.connect(), loop).result(20)
        asyncio.run_coroutine_threadsafe(live.close(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    for refused in (see_one(backend, live), live.read_page(KEY, 5)):
        with pytest.raises(TooManyClients, match="are closed"):
            asyncio.run(refused)


def test_a_forked_child_begins_with_no_streams(backend: Backend) -> None:
    live = LiveTimelines(backend)

    async def fork() -> object:
        client = Client(live, backend.timeline_storage(), KEY)
        await client.connect()
        in_child = await asyncio.to_thread(run_in_child, lambda: len(asyncio.run(see_one(backend, live))))
        await live.close()
        return in_child

    assert asyncio.run(fork()) == 1
