"""A site in memory, and writes to its timelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from feedstore import Activity, connect
from feedstore.live import LiveTimelines
from feedstore.storage import Backend
from live.http import Stream
from live.site import WHO, SiteServer

KEY = "feed:bob"
BOB = {WHO: "bob"}


class Scene:
    """A backend in memory, a site that streams from it, and the timeline of bob."""

    def __init__(self, backend: Backend, live: LiveTimelines, port: int, opened: ExitStack) -> None:
        self.backend = backend
        self.live = live
        self.port = port
        self.activities = backend.activity_storage()
        self.timelines = backend.timeline_storage(notifier=backend.notifier())
        self._opened = opened

    def add(self, *ids: int, key: str = KEY) -> None:
        """Store activities under ids, and deliver them."""
        self.activities.add_many([Activity("ann", "like", f"photo:{one}", id=one) for one in ids])
        self.timelines.add_many(key, ids)

    def stream(self, last_event_id: str | None = None, path: str = "/events", who: str = "bob") -> Stream:
        """Open a stream, and wait until it is live or refused."""
        headers = {WHO: who} if last_event_id is None else {WHO: who, "last-event-id": last_event_id}
        stream = self._opened.enter_context(Stream(self.port, path, headers))
        if stream.status == 200:
            stream.read_until_event("ready")
        return stream


NewScene = Callable[..., Scene]


@pytest.fixture(scope="session")
def site_server() -> Iterator[SiteServer]:
    """The server of all tests."""
    with SiteServer() as server:
        yield server


@pytest.fixture
def new_scene(site_server: SiteServer) -> Iterator[NewScene]:
    """A callable that opens a scene; its options are those of LiveTimelines."""
    with ExitStack() as opened:

        def new_scene(**options: object) -> Scene:
            backend = opened.enter_context(connect("memory://"))
            live = LiveTimelines(backend, **options)  # type: ignore[arg-type]
            return Scene(backend, live, opened.enter_context(site_server.serving(live)), opened)

        yield new_scene


@pytest.fixture
def scene(new_scene: NewScene) -> Scene:
    """A scene with a window of 5 entries, and gaps beyond 6."""
    return new_scene(window=5, most_missed=6, settle_seconds=0.01)
