"""The measurements of a side."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.live.clients import close, connect, fetch, until

_NEVER = 100_000.0
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Idle:
    """The cost of idle streams: the share of a core, and the memory of each stream."""

    connections: int
    share: float
    bytes_of_each: float


@dataclass(frozen=True)
class Delays:
    """The median and the 99th percentile of seconds."""

    median: float
    p99: float


async def idle(port: int, connections: int, seconds: float) -> Idle:
    """Open streams, one for each of so many timelines, and leave them idle for so many seconds."""
    before = await _usage(port)
    clients = await connect(port, [f"/events?who={number}" for number in range(connections)])
    await asyncio.sleep(min(2, seconds))
    first, begun = await _usage(port), time.monotonic()
    await asyncio.sleep(seconds)
    last, ended = await _usage(port), time.monotonic()
    close(clients)
    share = (last["seconds"] - first["seconds"]) / (ended - begun)
    return Idle(connections, share, (last["bytes"] - before["bytes"]) / connections)


async def fan_out(port: int, clients_count: int, rounds: int, one_timeline: bool) -> Delays:
    """Send one entry to so many streams, round by round, and record the delay on each stream."""
    names = [0] * clients_count if one_timeline else range(clients_count)
    clients = await connect(port, [f"/events?who={name}" for name in names])
    last = 1 if one_timeline else clients_count
    for number in range(1, rounds + 1):
        await fetch(port, f"/tell?first=0&last={last}&count=1")
        await until(lambda: all(len(client.delays) >= number for client in clients))  # noqa: B023 # awaited here
        await asyncio.sleep(0.1)
    # The first round loads the modules that load at their first use.
    delays = sorted(delay for client in clients for delay in client.delays[1:])
    close(clients)
    return Delays(statistics.median(delays), delays[int(len(delays) * 0.99)])


async def replay(port: int, missed: int, rounds: int) -> Delays:
    """Reconnect to a timeline of which so many entries were missed, and record the time of the last of them."""
    await fetch(port, "/tell?first=0&last=1&count=100")
    position = json.loads(await fetch(port, "/timeline?who=0"))["position"]
    await fetch(port, f"/tell?first=0&last=1&count={missed}")
    return await _rounds(port, "/events?who=0", f"last-event-id: {position}\r\n", missed, rounds)


async def waiting(port: int, missed: int, rounds: int) -> Delays:
    """The ancestor's nearest equivalent of :func:`replay`: a stream in whose queue so many messages wait."""
    return await _rounds(port, f"/events?who=0&waiting={missed}", "", missed, rounds)


async def _rounds(port: int, path: str, headers: str, missed: int, rounds: int) -> Delays:
    delays = []
    for _ in range(rounds + 1):
        (client,) = await connect(port, [path], headers)
        await until(lambda: client.events > missed)  # noqa: B023 # awaited here
        delays.append(client.last - client.begun)
        close([client])
    delays = sorted(delays[1:])
    return Delays(statistics.median(delays), delays[int(len(delays) * 0.99)])


def run(side: str, measure: Callable[[int], Awaitable[object]], heartbeat_seconds: float | None = None) -> object:
    """Start a side's process, measure it, and stop it. Without a number of seconds there are no heartbeats."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    seconds = _NEVER if heartbeat_seconds is None else heartbeat_seconds
    command = [sys.executable, "-m", "benchmarks.live.site", side, str(seconds), str(port)]
    process = subprocess.Popen(command, cwd=_ROOT)
    try:
        return asyncio.run(_measure_once_it_answers(port, measure))
    finally:
        process.kill()
        process.wait()


async def _measure_once_it_answers(port: int, measure: Callable[[int], Awaitable[object]]) -> object:
    deadline = time.monotonic() + 30
    while True:
        try:
            await _usage(port)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
    return await measure(port)


async def _usage(port: int) -> dict[str, float]:
    usage: dict[str, float] = json.loads(await fetch(port, "/usage"))
    return usage
