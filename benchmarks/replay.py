"""``python -m benchmarks.replay``: replay posts and follows through the feed managers of both projects.

stream_framework's manager runs in its own process and environment, see :mod:`benchmarks.ancestor`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from redis import Redis

from benchmarks import redis_server
from benchmarks.ancestor import environment
from benchmarks.ingestion import ACTIVITIES, DATA, FOLLOWS
from benchmarks.places import new_parser
from benchmarks.postgresql_server import import_of_tests
from feedstore import Activity, connect
from feedstore.fanout import FeedManager
from feedstore.ids import microseconds_of, time_from_microseconds
from feedstore.storage import Backend

_PROGRAM = Path(environment.__file__).with_name("manager_program.py")
_FIRST, _LAST = 233_000, 236_000
_FOLLOW_LASTS = timedelta(days=90)
_COPIED, _FOLLOWS = 300, 100
_STAR = 1

Event = list[Any]
Work = Callable[[Sequence[Event]], float]
"""Carries out events, and returns the seconds of processor time of this side's client."""


def main() -> None:
    """Measure each backend that the arguments name."""
    options = new_parser("Both feed managers, measured.", ("memory", "redis"), rounds=3).parse_args()
    follows, events = _history()
    phases = {"replay": events, **_follows_and_unfollows()}
    for name in options.backend or ("memory", "redis"):
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds):
            for side in _SIDES:
                for title, taken in _measured(name, side, follows, phases):
                    found.setdefault((title, side), []).append(taken)
        for (title, side), seconds in found.items():
            times = [theirs / ours for theirs, ours in zip(found[title, _ANCESTOR], seconds, strict=True)]
            spread = f"{median(times):.1f} ({min(times):.1f} to {max(times):.1f})"
            print(f"{name:<10}{title:<28}{side:<48}{median(seconds):>8.3f} s{spread:>22}", flush=True)


def _history() -> tuple[list[tuple[int, int]], list[Event]]:
    """Return the follows before a part of the shipped data, and the events of that part, with numbers for names."""
    replay = import_of_tests("fanout.replay")
    numbers: dict[str, int] = {}

    def number(name: object) -> int:
        return numbers.setdefault(str(name), len(numbers) + 2)

    followed: dict[tuple[int, int], None] = {}
    events: list[Event] = []
    for event in replay.read_events(DATA / ACTIVITIES, DATA / FOLLOWS, _FOLLOW_LASTS, _FIRST, _LAST):
        if isinstance(event, Activity):
            thing, time = number(f"object:{event.object}"), microseconds_of(event.time)
            events.append(["p", number(event.actor), event.verb, thing, time])
        elif events:
            events.append(["u" if event.ends else "f", number(event.follower), number(event.followed)])
        elif event.ends:
            followed.pop((number(event.follower), number(event.followed)), None)
        else:
            followed[number(event.follower), number(event.followed)] = None
    return list(followed), events


def _follows_and_unfollows() -> dict[str, list[Event]]:
    readers = range(10**6, 10**6 + _FOLLOWS)
    start = 1_700_000_000_000_000
    return {
        "posts without followers": [["p", _STAR, "post", 10**6 + one, start + one] for one in range(_COPIED)],
        f"follows that copy {_COPIED}": [["f", reader, _STAR] for reader in readers],
        f"unfollows that remove {_COPIED}": [["u", reader, _STAR] for reader in readers],
    }


def _measured(
    name: str, side: str, follows: Sequence[tuple[int, int]], phases: dict[str, list[Event]]
) -> Iterator[tuple[str, float]]:
    with _place(name) as url:
        server = Redis.from_url(url) if name == "redis" else None
        with _SIDES[side](url, follows) as work:
            for title, events in phases.items():
                before = _seconds_of(server)
                seconds = work(events)
                yield title, seconds + _seconds_of(server) - before
        if server is not None:
            server.close()


@contextmanager
def _place(name: str) -> Iterator[str]:
    if name == "memory":
        yield "memory://"
        return
    # Both sides use the socket.
    server = redis_server.start()
    try:
        yield server.socket_url
    finally:
        server.stop()


def _seconds_of(server: Redis | None) -> float:
    if server is None:
        return 0.0
    found: Any = server.info("cpu")
    return float(found["used_cpu_user"] + found["used_cpu_sys"])


@contextmanager
def _ancestor(url: str, follows: Sequence[tuple[int, int]]) -> Iterator[Work]:
    store = ["memory"]
    if url.startswith("unix:"):
        store = ["redis", url.removeprefix("unix://").partition("?")[0], "0"]
    command: list[Any] = [environment.python(), "-I", _PROGRAM, *store]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines, answers = process.stdin, process.stdout

        def ask(request: dict[str, Any]) -> Any:
            lines.write(json.dumps(request) + "\n")
            lines.flush()
            return json.loads(answers.readline())

        ask({"follows": follows})
        yield lambda events: float(ask({"events": events})["seconds"])
        lines.close()


@contextmanager
def _product(url: str, follows: Sequence[tuple[int, int]], is_stored: bool, is_bulk: bool) -> Iterator[Work]:
    with connect(url) as backend:
        manager, changes = (_stored if is_stored else _given)(backend, follows)
        yield lambda events: _carry_out(manager, changes, events, is_bulk)


Changes = Callable[[str, str, str], None]


def _stored(backend: Backend, follows: Sequence[tuple[int, int]]) -> tuple[FeedManager, Changes]:
    """Return a manager with the stored follow graph, which changes it in its calls."""
    manager = FeedManager(backend)
    assert manager.graph is not None
    manager.graph.import_follows((str(follower), str(followed)) for follower, followed in follows)
    return manager, lambda kind, follower, followed: None


def _given(backend: Backend, follows: Sequence[tuple[int, int]]) -> tuple[FeedManager, Changes]:
    """Return a manager with a function that returns the followers, and a function that changes these."""
    followers: dict[str, dict[str, None]] = {}

    def change(kind: str, follower: str, followed: str) -> None:
        known = followers.setdefault(followed, {})
        if kind == "f":
            known[follower] = None
        else:
            known.pop(follower, None)

    for follower, followed in follows:
        change("f", str(follower), str(followed))
    return FeedManager(backend, graph=lambda user: list(followers.get(str(user), ()))), change


def _carry_out(manager: FeedManager, changes: Changes, events: Sequence[Event], is_bulk: bool) -> float:
    made = [_activity(event) if event[0] == "p" else (event[0], str(event[1]), str(event[2])) for event in events]
    started = process_time()
    for is_post, some in groupby(made, lambda one: isinstance(one, Activity)):
        if is_post and is_bulk:
            manager.add_user_activities(one for one in some if isinstance(one, Activity))
            continue
        for one in some:
            if isinstance(one, Activity):
                manager.add_user_activity(str(one.actor), one)
                continue
            changes(*one)
            (manager.follow_user if one[0] == "f" else manager.unfollow_user)(one[1], one[2])
    return process_time() - started


def _activity(event: Event) -> Activity:
    _, actor, verb, thing, microseconds = event
    return Activity(str(actor), verb, str(thing), time=time_from_microseconds(microseconds))


_ANCESTOR = f"stream_framework {environment.VERSION}"
_SIDES: dict[str, Callable[..., Any]] = {
    _ANCESTOR: _ancestor,
    "add_user_activity, a function": lambda url, follows: _product(url, follows, False, False),
    "add_user_activity, stored follow graph": lambda url, follows: _product(url, follows, True, False),
    "add_user_activities, a function": lambda url, follows: _product(url, follows, False, True),
    "add_user_activities, stored follow graph": lambda url, follows: _product(url, follows, True, True),
}


if __name__ == "__main__":
    main()
