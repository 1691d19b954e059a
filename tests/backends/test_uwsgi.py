"""An application that opened and used its backend in uWSGI's master serves from forked workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from feedstore import connect
from live.http import ask
from servers.uwsgi import THREADS, WORKERS, UwsgiServer
from stores import fresh_namespace

REQUESTS = 64
REQUESTS_AT_A_TIME = WORKERS * THREADS
# Cassandra is polled, and a poll rests three times as long as it took: on a busy machine a wait takes many seconds.
SECONDS = 60.0
APPLICATION = """
import json
import os
import threading
from urllib.parse import parse_qsl

from feedstore import Activity, connect

backend = connect(os.environ["FEEDSTORE_URL"], namespace=os.environ["FEEDSTORE_NAMESPACE"])
notifier = backend.notifier()
timelines = backend.timeline_storage(notifier=notifier)
received = threading.Event()
subscription = notifier.subscribe(lambda keys: received.set(), recheck_seconds=None)
# Everything is used in the master: connections, the watcher's thread, and a queue.
timelines.add_many("read", range(1, 101))
backend.queue("read").push("from the master")
subscription.add(["read"])
notifier.publish(["read"])
assert received.wait(30)


def read(query):
    newest = [entry.serialization_id for entry in timelines.get_slice("read", 0, 3)]
    return [newest, timelines.count("read"), timelines.contains("read", 7)]


def write(query):
    timelines.add("written", int(query["id"]))
    return timelines.contains("written", int(query["id"]))


def receive(query):
    backend.queue("waiting").push(os.getpid())
    queue = backend.queue("mails " + query["id"])
    receipt, message = queue.receive(60)
    return [message, queue.ack(receipt)]


def subscribe_here(query):
    # One subscription that the master made, and one of this process.
    delivered = threading.Event()
    key = f"subscribed by {os.getpid()} {threading.get_ident()}"
    with notifier.subscribe(lambda keys: delivered.set(), recheck_seconds=None) as mine:
        mine.add([key])
        timelines.add(key, int(query["id"]))
        found = delivered.wait(30)
    received.clear()
    subscription.add([key])
    notifier.publish([key])
    return [found, received.wait(30)]


PATHS = {"/": lambda query: None, "/read": read, "/write": write, "/receive": receive, "/subscription": subscribe_here}


def application(environ, start_response):
    try:
        query = dict(parse_qsl(environ["QUERY_STRING"]))
        status, found = "200 OK", PATHS[environ["PATH_INFO"]](query)
    except Exception as error:
        status, found = "500 Internal Server Error", f"{type(error).__name__}: {error}"
    start_response(status, [("content-type", "application/json")])
    return [json.dumps(found).encode()]
"""


class Application:
    """The application as its clients see it."""

    def __init__(self, server: UwsgiServer) -> None:
        self._port = server.port

    def get(self, path: str) -> object:
        """Return the answer of a worker. A failure is answered as its message."""
        return ask(self._port, path).value

    def get_many(self, paths: list[str]) -> list[object]:
        """Return the answers of workers to concurrent requests."""
        with ThreadPoolExecutor(2 * WORKERS) as pool:
            return list(pool.map(self.get, paths))


def differing(found: list[object], expected: Callable[[object], bool]) -> list[str]:
    """The answers that are not as expected, shortened, once each."""
    return sorted({json.dumps(one)[:200] for one in found if not expected(one)})


@pytest.mark.parametrize("backend_kind", ["postgresql", "redis", "redis_cluster", "cassandra"])
def test_workers_read_write_watch_and_receive(store_url: str) -> None:
    namespace = fresh_namespace()
    environment = {"FEEDSTORE_URL": store_url, "FEEDSTORE_NAMESPACE": namespace}
    with connect(store_url, namespace=namespace) as backend, UwsgiServer(APPLICATION, environment) as server:
        application = Application(server)
        reads = application.get_many(["/read"] * REQUESTS)
        assert differing(reads, lambda one: one == [[100, 99, 98], 100, True]) == []
        writes = application.get_many([f"/write?id={number}" for number in range(1, REQUESTS + 1)])
        assert differing(writes, lambda one: one is True) == []
        assert backend.timeline_storage().count("written") == REQUESTS
        subscriptions = application.get_many([f"/subscription?id={number}" for number in range(1, 4 * WORKERS + 1)])
        assert differing(subscriptions, lambda one: one == [True, True]) == []
        with ThreadPoolExecutor(REQUESTS_AT_A_TIME) as pool:
            waiting = [pool.submit(application.get, f"/receive?id={number}") for number in range(REQUESTS_AT_A_TIME)]
            # Every thread of every worker is taken then.
            processes = [backend.queue("waiting").receive(SECONDS)[1] for _ in waiting]
            for number in range(REQUESTS_AT_A_TIME):
                backend.queue(f"mails {number}").push(number)
            received = [future.result(SECONDS) for future in waiting]
        assert received == [[number, True] for number in range(REQUESTS_AT_A_TIME)]
        assert len(set(processes)) == WORKERS
        assert backend.queue("read").pop() == "from the master"
    assert "Traceback" not in server.last_log
    # uWSGI writes these words when it kills a worker that does not end: no exit function waits for a parent's thread.
    assert "NO MERCY" not in server.last_log
