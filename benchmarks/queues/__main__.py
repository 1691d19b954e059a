"""``python -m benchmarks.queues``: measure queues and notifiers, and print a table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.places import PLACES, new_parser
from benchmarks.queues.raw import RawPostgresqlQueue, RawQueue, RawRedisQueue, RawSqliteQueue
from feedstore import connect

_MESSAGE = {"to": "bob", "about": "photo:7", "number": 7}
_STEPS = ("push", "receive", "ack")
_WAIT_SECONDS = 10.0


_RAW: dict[str, Callable[[str], RawQueue]] = {
    "sqlite": lambda url: RawSqliteQueue(url.removeprefix("sqlite:///") + ".raw"),
    "redis": RawRedisQueue,
    "postgresql": RawPostgresqlQueue,
}


def main() -> None:
    """Measure each backend that the arguments name, all by default."""
    parser = new_parser("Queues and notifiers, measured.", _RAW, rounds=5)
    parser.add_argument("--messages", type=int, default=1000, help="in one round (1,000)")
    options = parser.parse_args()
    print(f"{'backend':<12}{'step':<24}{'feedstore':>12}{'raw':>12}{'ratio':>8}")
    for name in options.backend or _RAW:
        with PLACES[name]() as url, connect(url) as backend:
            raw = _RAW[name](url)
            pairs = [_round(backend.queue(), raw, options.messages) for _ in range(options.rounds)]
            for position, step in enumerate(_STEPS):
                rates = [(one[position], other[position]) for one, other in pairs]
                ratio = median(one / other for one, other in rates)
                product, driver = (median(side) for side in zip(*rates, strict=True))
                print(f"{name:<12}{step + ' (a second)':<24}{product:>12,.0f}{driver:>12,.0f}{ratio:>8.2f}")
            print(f"{name:<12}{'notification (ms)':<24}{_latency(url) * 1000:>12.2f}")


def _round(product: Any, raw: RawQueue, messages: int) -> tuple[list[float], list[float]]:
    return _rates(product, messages), _rates(raw, messages)


def _rates(queue: Any, messages: int) -> list[float]:
    """Return the rate of messages that are pushed, received and acknowledged."""
    receipts: list[Any] = []
    steps: list[Callable[[], None]] = [
        lambda: [queue.push(_MESSAGE) for _ in range(messages)].clear(),
        lambda: receipts.extend(queue.receive()[0] for _ in range(messages)),
        lambda: [queue.ack(receipt) for receipt in receipts].clear(),
    ]
    rates = []
    for step in steps:
        start = time.perf_counter()
        step()
        rates.append(messages / (time.perf_counter() - start))
    return rates


def _latency(url: str, times: int = 50) -> float:
    """Return the median of the seconds from the return of an add to the callback in another process."""
    told = threading.Event()
    with connect(url) as reader, connect(url) as writer:
        watch = reader.notifier().subscribe(lambda keys: told.set(), recheck_seconds=None)
        watch.add([f"feed:{number}" for number in range(1000)])
        timelines = writer.timeline_storage(notifier=writer.notifier())
        timelines.add("feed:7", 0)
        seconds = []
        for number in range(1, times + 1):
            # The notifications of the write before this one arrive first.
            while told.wait(0.25):
                told.clear()
            timelines.add("feed:7", number)
            start = time.perf_counter()
            if not told.wait(_WAIT_SECONDS):
                raise TimeoutError("no notification of a change arrived")
            seconds.append(time.perf_counter() - start)
    return median(seconds)


if __name__ == "__main__":
    main()
