"""Streams and writers that know no more of each other than the store's URL, and a server that is told to go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedstore import connect
from feedstore.channels.sse import LiveTimelines
from feedstore.storage import Backend
from polling import poll_until
from servers.ports import free_port
from servers.process import ServerProcess
from servers.redis import OwnRedisServer
from sse.conftest import BOB
from sse.http import Stream, ask
from sse.site import SiteServer

EACH = 25
WRITER = """
import sys
from feedstore import Activity, connect

url, namespace, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with connect(url, namespace=namespace) as backend:
    timelines = backend.timeline_storage(notifier=backend.notifier())
    for number in range(first, first + count):
        activity = Activity("ann", "like", number, id=number)
        backend.activity_storage().add(activity)
        timelines.add_to_many(["feed:bob", "feed:eve"], [activity], max_length=800)
"""
SITE = """
import sys
import uvicorn
from feedstore import connect
from feedstore.channels.sse import LiveTimelines
from sse.site import new_site

backend = connect(sys.argv[1])
uvicorn.run(new_site(LiveTimelines(backend)), port=int(sys.argv[2]), log_level="warning", timeout_graceful_shutdown=5)
"""


def write(url: str, namespace: str, first: int, count: int) -> subprocess.Popen[bytes]:
    """Start a process that adds entries."""
    return subprocess.Popen([sys.executable, "-c", WRITER, url, namespace, str(first), str(count)])


@pytest.fixture
def live(backend: Backend) -> LiveTimelines:
    """Live timelines of the store of each kind."""
    return LiveTimelines(backend)


@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql", "redis", "redis_cluster"])
def test_what_other_processes_add_is_shown(
    site_server: SiteServer, live: LiveTimelines, backend: Backend, store_url: str
) -> None:
    with site_server.serving(live) as port, Stream(port, "/events", BOB) as stream:
        stream.read_until_event("ready")
        writers = [write(store_url, backend.namespace, first, EACH) for first in (0, EACH, 2 * EACH)]
        try:
            events = stream.read_until_event("activity", 3 * EACH)
            assert [writer.wait(60) for writer in writers] == [0, 0, 0]
        finally:
            for writer in writers:
                writer.kill()
        assert sorted(event.value["object"] for event in events) == list(range(3 * EACH))
        assert stream.named("gap") == []


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_what_another_process_adds_is_found_where_nothing_is_pushed(
    site_server: SiteServer, live: LiveTimelines, backend: Backend, store_url: str
) -> None:
    """By the newest entry of each timeline: what several processes add below it waits for the next recheck."""
    with site_server.serving(live) as port, Stream(port, "/events", BOB) as stream:
        stream.read_until_event("ready")
        assert write(store_url, backend.namespace, 0, EACH).wait(60) == 0
        events = stream.read_until_event("activity", EACH)
        assert sorted(event.value["object"] for event in events) == list(range(EACH))
        assert stream.named("gap") == []


def test_a_server_of_the_store_that_is_killed_and_comes_back(
    site_server: SiteServer, own_redis_server: OwnRedisServer
) -> None:
    with (
        connect(own_redis_server.url) as backend,
        site_server.serving(LiveTimelines(backend)) as port,
        Stream(port, "/events", BOB) as stream,
    ):
        stream.read_until_event("ready")
        assert write(own_redis_server.url, "default", 0, 5).wait(60) == 0
        stream.read_until_event("activity", 5)
        own_redis_server.kill()
        own_redis_server.start()
        assert write(own_redis_server.url, "default", 5, 5).wait(60) == 0
        events = stream.read_until_event("activity", 10)
        assert [event.value["object"] for event in events] == list(range(10))
        assert stream.named("gap") == []


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ServerProcess, int]]:
    """A server process of its own over a SQLite file, and its port."""
    url, port = f"sqlite:///{tmp_path / 'feeds.db'}", free_port()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    process = ServerProcess([sys.executable, "-c", SITE, url, str(port)], tmp_path)
    process.wait_until_ready(lambda: _answers(port))
    yield process, port
    process.kill()


@pytest.mark.parametrize("with_stream", [True, False])
def test_a_server_that_is_told_to_go_ends_its_streams_and_leaves(
    site: tuple[ServerProcess, int], with_stream: bool
) -> None:
    process, port = site
    if not with_stream:
        process.stop(seconds=20)
        return
    with Stream(port, "/events", BOB) as stream:
        stream.read_until_event("ready")
        first, stream.parser.retry = stream.retry, None
        os.kill(process._process.pid, signal.SIGTERM)
        stream.read_to_the_end()
        assert first is not None
        assert stream.retry is not None
        poll_until(lambda: process._process.poll() is not None, 20, "the end of the server")
    assert "Traceback" not in process.log_tail()


def _answers(port: int) -> bool:
    try:
        return ask(port, "/timeline", BOB).status == 200
    except OSError:
        return False
