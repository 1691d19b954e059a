"""Streams and writers in processes that share only the store's URL, and a server that is stopped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from feedstore import Activity, connect
from feedstore.live import LiveTimelines
from feedstore.storage import Backend
from feedstore.testing.processes import Child
from live.conftest import BOB
from live.http import Stream, ask
from live.site import SiteServer
from polling import poll_until
from servers.ports import free_port
from servers.process import ServerProcess
from servers.redis import OwnRedisServer

EACH = 25
SITE = """
import sys
import uvicorn
from feedstore import connect
from feedstore.live import LiveTimelines
from live.site import new_site

backend = connect(sys.argv[1])
uvicorn.run(new_site(LiveTimelines(backend)), port=int(sys.argv[2]), log_level="warning", timeout_graceful_shutdown=5)
"""


APPLICATION = """
import os
from feedstore import connect
from feedstore.live import LiveTimelines
from live.site import new_site

app = new_site(LiveTimelines(connect(os.environ["FEEDSTORE_URL"])))
"""
UVICORN = [sys.executable, "-m", "uvicorn", "application:app", "--log-level", "warning", "--port"]
SERVE = """
import asyncio, sys, uvicorn
server = uvicorn.Server(uvicorn.Config("application:app", port=int(sys.argv[1]), log_level="warning"))
asyncio.run(server.serve())
"""
# No handler of a signal belongs to this server: it is asked to end by its attribute.
IN_A_THREAD = """
import signal, sys, threading, uvicorn
server = uvicorn.Server(uvicorn.Config("application:app", port=int(sys.argv[1]), log_level="warning"))
signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
thread = threading.Thread(target=server.run)
thread.start()
# A join without a timeout may sleep on if the signal reaches another thread; then Python runs no handler.
while thread.is_alive():
    thread.join(0.1)
"""
SERVERS = {
    "workers": (UVICORN, ["--workers", "2"]),
    "reload": (UVICORN, ["--reload"]),
    "plain": (UVICORN, []),
    "serve": ([sys.executable, "-c", SERVE], []),
    "thread": ([sys.executable, "-c", IN_A_THREAD], []),
}


def write(url: str, namespace: str, first: int, count: int) -> None:
    """Add entries; for a child process, which connects for itself."""
    with connect(url, namespace=namespace) as backend:
        timelines = backend.timeline_storage(notifier=backend.notifier())
        for number in range(first, first + count):
            activity = Activity("ann", "like", number, id=number)
            backend.activity_storage().add(activity)
            timelines.add_to_many(["feed:bob", "feed:eve"], [activity], max_length=800)


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
        firsts = (0, EACH, 2 * EACH)
        writers = [Child(partial(write, store_url, backend.namespace, first, EACH)) for first in firsts]
        events = stream.read_until_event("activity", 3 * EACH)
        for writer in writers:
            writer.result(60)
        assert sorted(event.value["object"] for event in events) == list(range(3 * EACH))
        assert stream.named("gap") == []


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_what_another_process_adds_is_found_where_nothing_is_pushed(
    site_server: SiteServer, live: LiveTimelines, backend: Backend, store_url: str
) -> None:
    """By the newest entry of each timeline: entries that several processes add below it wait for the next recheck."""
    with site_server.serving(live) as port, Stream(port, "/events", BOB) as stream:
        stream.read_until_event("ready")
        Child(partial(write, store_url, backend.namespace, 0, EACH)).result(60)
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
        Child(partial(write, own_redis_server.url, "default", 0, 5)).result(60)
        stream.read_until_event("activity", 5)
        own_redis_server.kill()
        own_redis_server.start()
        Child(partial(write, own_redis_server.url, "default", 5, 5)).result(60)
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


@pytest.mark.parametrize(("kind", "client"), [*((kind, "reads") for kind in SERVERS), ("plain", "never reads")])
def test_every_way_to_run_uvicorn_ends_with_open_streams(
    kind: str, client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `timeout_graceful_shutdown`: uvicorn waits for streams, and they end by themselves."""
    (tmp_path / "application.py").write_text(APPLICATION)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*sys.path, str(tmp_path)]))
    monkeypatch.setenv("FEEDSTORE_URL", url := f"sqlite:///{tmp_path / 'feeds.db'}")
    port = free_port()
    command, options = SERVERS[kind]
    process = ServerProcess([*command, str(port), *options], tmp_path)
    try:
        process.wait_until_ready(lambda: _answers(port))
        with Stream(port, "/events", BOB, receive_buffer=4096) as stream:
            stream.read_until_event("ready")
            if client == "reads":
                process.terminate()
                stream.read_to_the_end()
            else:
                _fill(url)
                stream.wait_for_bytes()
                process.terminate()
            poll_until(lambda: process._process.poll() is not None, 20, "the end of the server")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process._process.pid, signal.SIGKILL)
        process._process.wait()
    assert "Traceback" not in process.log_tail()


def _fill(url: str) -> None:
    """Add more than the operating system buffers for a client that does not read."""
    large = {"text": "x" * 1_000_000}
    with connect(url) as backend:
        activities = [Activity("ann", "like", number, extra_context=large) for number in range(12)]
        backend.activity_storage().add_many(activities)
        backend.timeline_storage(notifier=backend.notifier()).add_many("feed:bob", activities)


def _answers(port: int) -> bool:
    try:
        return ask(port, "/timeline", BOB).status == 200
    except OSError:
        return False
