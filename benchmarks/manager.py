"""``python -m benchmarks.manager``: measure the feed manager against the storage calls that it consists of."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from multiprocessing import get_context
from statistics import median, quantiles

from benchmarks.ingestion import peak_bytes
from benchmarks.places import PLACES, new_parser
from feedstore import Activity, connect
from feedstore.fanout import FeedManager, HomeFeed, QueueExecutor, Worker
from feedstore.metrics import Metrics
from feedstore.storage import Backend

_START = datetime(2026, 1, 1, tzinfo=timezone.utc)
_KEPT = 800
_BACKFILL = 300
_WAIT_SECONDS = 0.01
_NAMES = ("memory", "sqlite", "redis", "postgresql")


class Lags(Metrics):
    """Keeps the seconds from the publisher's call to the end of each job of normal priority."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_job(self, operation: str, priority: str, outcome: str, lag: float, seconds: float) -> None:
        if priority == "normal":
            self.seconds.append(lag + seconds)


def main() -> None:
    """Measure each backend that the arguments name, all by default."""
    parser = new_parser("The feed manager, measured.", _NAMES, rounds=15)
    parser.add_argument("--followers", type=int, default=1000, help="of the fan-outs (1,000)")
    parser.add_argument("--large", type=int, default=50_000, help="followers of the large fan-out (50,000)")
    options = parser.parse_args()
    for name in options.backend or _NAMES:
        lags = Lags()
        with PLACES[name]() as url, connect(url, metrics=lags) as backend:
            for title, text in _rows(backend, lags, url, options):
                print(f"{name:<12}{title:<62}{text:>24}", flush=True)


def _rows(backend: Backend, lags: Lags, url: str, options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    names = [f"user:{number}" for number in range(options.followers)]
    yield from _fan_outs(backend, names, options.rounds)
    yield _backfill(backend, options.rounds)
    few, many = options.large // 100, options.large
    for large in (few, many):
        # Follows of one moment would be an import in random order.
        times = (_START + timedelta(seconds=number) for number in range(large))
        graph = FeedManager(backend)._graph
        graph.import_follows((f"reader:{number}", _star(large), time) for number, time in enumerate(times))
    idle, busy = _small_posts(backend, lags, 0), _small_posts(backend, lags, many)
    yield f"p99 of a small post: alone · beside one to {many:,}", f"{idle * 1000:.1f} · {busy * 1000:.1f} ms"
    if url != "memory://":
        title = f"memory of a worker: idle · {few:,} · {many:,} followers"
        yield title, " · ".join(f"{_worker_peak(backend, url, large):.1f}" for large in (0, few, many)) + " MiB"


def _fan_outs(backend: Backend, names: Sequence[str], rounds: int) -> Iterator[tuple[str, str]]:
    graph = FeedManager(backend)
    graph._graph.import_follows((name, "ann", _START) for name in names)
    # All sides visit the timelines in one order. Memory that is read in another order is slower by a half.
    readers = list(graph._graph.all_followers("ann"))
    own = FeedManager(backend, graph=lambda user: readers, name="own")
    timelines, keys = backend.timeline_storage(), [HomeFeed(one, backend).key for one in readers]
    timelines.add_to_many(keys, [_post(number) for number in range(_KEPT)], max_length=_KEPT)

    def storages(post: Activity) -> None:
        backend.activity_storage().add(post)
        timelines.add_to_many(keys, [post], max_length=_KEPT)

    calls: list[Callable[[Activity], object]] = [
        storages,
        lambda post: graph.add_user_activity("ann", post),
        lambda post: own.add_user_activity("ann", post),
    ]
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(rounds * len(calls)):
        # Another order in each round, because the store works on after an answer.
        place = (number + number // len(calls)) % len(calls)
        seconds[place].append(_time(lambda place=place, number=number: calls[place](_post(_KEPT + number))))  # type: ignore[misc]
    raw, paged, given = map(median, seconds)
    title = f"fan-out to {len(names):,} as a share of add and add_to_many"
    yield f"{title}, follow graph", f"{raw / paged:.2f}"
    yield f"{title}, a function", f"{raw / given:.2f}"


def _backfill(backend: Backend, rounds: int) -> tuple[str, str]:
    manager, timelines = FeedManager(backend), backend.timeline_storage()
    manager.batch_import("star", [_post(number, "star") for number in range(_BACKFILL)], fanout=False)
    source = manager.get_user_feed("star").key
    parts, follows = [], []

    def copy(key: str) -> None:
        timelines.add_to_many([key], timelines.get_slice(source, 0, _BACKFILL), max_length=_KEPT)

    for number in range(rounds):
        parts.append(_time(lambda number=number: copy(f"home:part{number}")))  # type: ignore[misc]
        follows.append(_time(lambda number=number: manager.follow_user(f"new{number}", "star", _BACKFILL)))  # type: ignore[misc]
    return f"a follow that copies {_BACKFILL}, by slice and add", f"{median(follows) / median(parts):.2f} times"


def _star(large: int) -> str:
    """Return the name of the user with so many followers."""
    return f"star:{large}"


def _queue_manager(backend: Backend, name: str) -> FeedManager:
    return FeedManager(backend, executor=QueueExecutor(backend, name=name), name=name)


def _small_posts(backend: Backend, lags: Lags, large: int, count: int = 200) -> float:
    """Return the 99th percentile of the seconds from a publisher's call to the delivery of a small fan-out."""
    manager = _queue_manager(backend, f"posts-{large}")
    manager._graph.follow("bob", "eve")
    worker = Worker(manager, concurrency=2)
    thread = threading.Thread(target=worker.run)
    thread.start()
    lags.seconds.clear()
    if large:
        manager.add_user_activity(_star(large), _post(10**6, _star(large)))
        # The first page of the large fan-out has normal priority.
        while not lags.seconds:
            time.sleep(_WAIT_SECONDS)
        lags.seconds.clear()
    for number in range(count):
        manager.add_user_activity("eve", _post(2 * 10**6 + number, "eve"))
        time.sleep(_WAIT_SECONDS)
    while len(lags.seconds) < count:
        time.sleep(_WAIT_SECONDS)
    found = quantiles(lags.seconds, n=100)[98]
    worker.stop()
    thread.join()
    return found


def _worker_peak(backend: Backend, url: str, large: int) -> float:
    """Return the peak memory in MiB of a process whose worker makes a whole large fan-out."""
    name = f"peak-{large}"
    if large:
        _queue_manager(backend, name).add_user_activity(_star(large), _post(3 * 10**6 + large, _star(large)))
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_work_off, (url, name))


def _work_off(url: str, name: str) -> float:
    with connect(url) as backend:
        Worker(_queue_manager(backend, name), concurrency=2).run(until_empty=True)
    return peak_bytes() / 2**20


def _post(number: int, actor: str = "ann") -> Activity:
    return Activity(actor, "post", f"photo:{number}", time=_START + timedelta(seconds=number))


def _time(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
