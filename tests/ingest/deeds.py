"""Seeded activities of a small group of actors that follow each other: rows that look like real ones."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone

from ingest.inputs import FOLLOWS_HEADER, csv_text

_START = datetime(2026, 1, 1, tzinfo=timezone.utc)
_VERBS = ("commit", "review", "ack", "test")


def activities_csv(rows: int, actors: int = 30, seed: int = 1, late: float = 0.0) -> str:
    """A CSV file of rows in the order of time, many in one second. The share ``late`` is out of order."""
    chance = random.Random(seed)
    seconds = 0.0
    found = []
    for number in range(1, rows + 1):
        seconds += chance.choice((0, 0, 0.25, 1, 60))
        lateness = chance.uniform(0, 3600) if chance.random() < late else 0
        time = _START + timedelta(days=1, seconds=seconds - lateness)
        actor = f"dev:{min(chance.randrange(actors), chance.randrange(actors))}"
        extra = json.dumps({"files": chance.randrange(9)}, separators=(",", ":")) if chance.random() < 0.3 else ""
        thing = f"commit:{chance.randrange(rows)}"
        found.append((number, time.isoformat(), actor, chance.choice(_VERBS), thing, "", extra))
    return csv_text(found)


def follows_csv(users: int = 30, edges: int = 150, seed: int = 1) -> str:
    """A CSV file of follows among the actors, and of readers who never act."""
    chance = random.Random(seed)
    pairs = {(f"dev:{chance.randrange(2 * users)}", f"dev:{chance.randrange(users)}") for _ in range(edges)}
    return FOLLOWS_HEADER + "".join(f"{follower},{followee},\n" for follower, followee in sorted(pairs))
