"""``python -m benchmarks.live``: measure live streams, and print the tables."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial

from benchmarks.live.measures import Delays, Idle, fan_out, idle, replay, run, waiting
from benchmarks.live.site import SIDES, allow_many_files

_HEARTBEAT_SECONDS = 15.0
_FILES_BESIDE_STREAMS = 200
_PRODUCT, _COLLECTING_LESS = "feedstore", "feedstore, collecting less often"
_ANCESTORS = ("eric-sse, delay 0", "eric-sse, delay 1 s")
# Each of its streams polls its queue without a pause, so opening ten thousand takes minutes.
_BUSY = _ANCESTORS[0]
IDLE_SIDES = tuple(side for side in SIDES if side != _COLLECTING_LESS)
"""The sides whose idle streams are measured."""
_PARTS = ("idle", "fan_out", "replay")


def main() -> int:
    """Run the measurements of the arguments, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000, help="idle streams (default: %(default)s)")
    parser.add_argument(
        "--clients", type=int, default=1_000, help="streams that receive entries (default: %(default)s)"
    )
    parser.add_argument("--missed", type=int, default=1_000, help="entries sent again (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--part", choices=_PARTS, action="append", help="this alone; again for more")
    options = parser.parse_args()
    most = allow_many_files() - _FILES_BESIDE_STREAMS
    connections = min(options.connections, most)
    if connections < options.connections:
        print(f"this machine allows {most} open files more: {connections} connections", file=sys.stderr)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    parts = options.part or _PARTS
    if "idle" in parts:
        _print_idle(connections)
    if "fan_out" in parts:
        _print_fan_out(options.clients, options.rounds)
    if "replay" in parts:
        _print_replay(options.missed, options.rounds)
    return 0


def _print_idle(connections: int) -> None:
    for side in IDLE_SIDES:
        count = connections // 10 if side == _BUSY else connections
        for heartbeat in (None, _HEARTBEAT_SECONDS):
            seconds = 10.0 if heartbeat is None else heartbeat
            found = run(side, partial(idle, connections=count, seconds=seconds), heartbeat)
            assert isinstance(found, Idle)
            how = "no heartbeats" if heartbeat is None else f"heartbeats every {heartbeat:g} s"
            share, size = f"{found.share:8.2%} of a core", f"{found.bytes_of_each / 1024:6.1f} KiB each"
            print(f"{count:6} idle  {side:36} {how:24} {share}  {size}", flush=True)


def _print_fan_out(clients: int, rounds: int) -> None:
    for one_timeline in (True, False):
        what = "one timeline" if one_timeline else "a timeline each"
        # A channel of the ancestor sends the same events to all listeners: it has no timelines.
        for side in (_PRODUCT, *(_ANCESTORS if one_timeline else (_COLLECTING_LESS,))):
            found = run(side, partial(fan_out, clients_count=clients, rounds=rounds, one_timeline=one_timeline))
            _print_delays(f"one entry to {clients} clients of {what}", side, found)


def _print_replay(missed: int, rounds: int) -> None:
    _print_delays(f"{missed} missed events", _PRODUCT, run(_PRODUCT, partial(replay, missed=missed, rounds=rounds)))
    for side in _ANCESTORS[:1]:
        found = run(side, partial(waiting, missed=missed, rounds=rounds))
        _print_delays(f"{missed} waiting messages", side, found)


def _print_delays(what: str, side: str, found: object) -> None:
    assert isinstance(found, Delays)
    print(f"{what:50} {side:36} median {found.median * 1000:8.1f} ms  p99 {found.p99 * 1000:8.1f} ms", flush=True)


if __name__ == "__main__":
    sys.exit(main())
