"""What one process remembers of its writes, to be quicker with the next ones."""

from __future__ import annotations

from feedstore.backends.cassandra.excess import Excess
from feedstore.backends.cassandra.leases import Leases
from feedstore.backends.cassandra.lengths import Lengths


class Memory:
    """The names in the directory, the deliveries since the last trims, and the growth of timelines."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.excess = Excess()
        self.lengths = Lengths()
