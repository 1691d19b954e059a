"""How heartbeats are spread."""

from __future__ import annotations

from collections import deque

from feedstore.live.heartbeat import Heartbeat
from feedstore.live.subscriber import Subscriber

SLOTS = 30


def new_subscriber() -> Subscriber:
    return Subscriber("key", None, 1, lambda _: None)


def test_heartbeats_stay_spread_while_clients_come_and_go() -> None:
    """Where each client that goes makes room for another, too: a burst for all would hold up the news."""
    heartbeat = Heartbeat(SLOTS / 2, 3_600, 60, lambda _: None)
    clients: deque[Subscriber] = deque()
    for number in range(20 * SLOTS):
        if number >= 10 * SLOTS:
            heartbeat.discard(clients.popleft())
        clients.append(new_subscriber())
        heartbeat.add(clients[-1])
    assert [len(slot) for slot in heartbeat._slots] == [10] * SLOTS
