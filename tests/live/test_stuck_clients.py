"""Clients that keep their connection and read nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest
from starlette.types import Message, Receive, Scope, Send

import soak
from feedstore import Activity, connect
from feedstore.live import LiveTimelines, heartbeat
from live.conftest import BOB, KEY, NewScene, Scene
from live.http import Stream
from live.site import SiteServer, new_site
from polling import poll_until

SECONDS = 30.0
LARGE = {"text": "x" * 20_000}


@pytest.fixture(autouse=True)
def short_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an ended stream write for half a second more."""
    monkeypatch.setattr(heartbeat, "_FAREWELL_SECONDS", 0.5)


def fill(scene: Scene, entries: int = 60) -> None:
    """Add so much that no buffer on the way holds it."""
    for number in range(1, entries + 1):
        scene.activities.add(Activity("ann", "like", number, id=number, extra_context=LARGE))
        scene.timelines.add(KEY, number)


@contextmanager
def stuck_clients(port: int, number: int) -> Iterator[list[Stream]]:
    """Open streams whose clients read until they are live, and nothing afterwards."""
    with ExitStack() as opened:
        streams = [opened.enter_context(Stream(port, "/events", BOB, receive_buffer=4096)) for _ in range(number)]
        for stream in streams:
            stream.read_until_event("ready")
        yield streams


@pytest.mark.soak
def test_clients_that_never_read_lose_their_places_and_their_connections(
    new_scene: NewScene, site_server: SiteServer
) -> None:
    """A write timeout: their places, the sockets and the buffers would else be held for ever."""
    clients = soak.count(12, 200)
    scene = new_scene(most_clients=clients, write_seconds=0.5, heartbeat_seconds=0.5)
    with stuck_clients(scene.port, clients):
        fill(scene)
        poll_until(lambda: len(scene.live) == 0, SECONDS, "the end of the streams that are not read")
        connections = site_server.connections
        poll_until(lambda: connections() == 0, SECONDS, "the end of the connections that are not read")
        stream = scene.stream()
        scene.add(1_000)
        stream.read_until_event("activity")


def test_longest_seconds_holds_for_a_client_that_never_reads(new_scene: NewScene, site_server: SiteServer) -> None:
    scene = new_scene(most_clients=1, longest_seconds=1, heartbeat_seconds=0.5)
    with stuck_clients(scene.port, 1):
        fill(scene)
        poll_until(lambda: len(scene.live) == 0, SECONDS, "the end of the stream")
        poll_until(lambda: site_server.connections() == 0, SECONDS, "the end of the connection")


def test_what_a_server_has_buffered_for_a_client_that_never_reads_is_dropped(
    new_scene: NewScene, site_server: SiteServer
) -> None:
    """No write waits for it, so that only the stream's end can see that the client takes nothing."""
    scene = new_scene(longest_seconds=2, heartbeat_seconds=0.5)
    numbers = count(1)

    def add_until_something_is_buffered() -> bool:
        number = next(numbers)
        scene.activities.add(Activity("ann", "like", number, id=number, extra_context={"text": "x" * 5_000}))
        scene.timelines.add(KEY, number)
        return site_server.buffered_bytes() > 0

    with stuck_clients(scene.port, 1):
        poll_until(add_until_something_is_buffered, SECONDS, "a full buffer of the operating system")
        assert len(scene.live) == 1
        poll_until(lambda: site_server.connections() == 0, SECONDS, "the end of the connection")
    assert len(scene.live) == 0


def test_a_client_that_reads_slowly_is_not_cut(new_scene: NewScene) -> None:
    scene = new_scene(write_seconds=20, heartbeat_seconds=0.5, most_waiting=1_000)
    with stuck_clients(scene.port, 1) as (slow,):
        fill(scene)
        slow.read_until_event("activity", 60)
        assert slow.named("gap") == []
        assert slow.is_over is False


def test_the_place_is_free_where_a_middleware_hides_the_connection(site_server: SiteServer) -> None:
    with connect("memory://") as backend:
        live = LiveTimelines(backend, write_seconds=0.5, heartbeat_seconds=0.5)
        site = new_site(live)
        ended: list[bool] = []

        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            async def receive_again() -> Message:
                return await receive()

            async def send_again(message: Message) -> None:
                await send(message)

            await site(scope, receive_again, send_again)
            ended.append(True)

        with site_server.serving_site(wrapped) as port, stuck_clients(port, 1):
            activities, timelines = backend.activity_storage(), backend.timeline_storage(notifier=backend.notifier())
            for number in range(1, 61):
                activities.add(Activity("ann", "like", number, id=number, extra_context=LARGE))
                timelines.add(KEY, number)
            poll_until(lambda: bool(ended), SECONDS, "the end of the request")
            assert len(live) == 0
        assert ended == [True]
