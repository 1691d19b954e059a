"""Which part of a timeline a statement reads."""

from __future__ import annotations

from typing import Any, NamedTuple

from feedstore.ids import MAX_ID, id_to_bytes
from feedstore.storage import Bounds

# Databases count in signed 64 bits; nothing that is stored reaches this far.
FURTHEST: int = 2**62
_LONGEST_WRITTEN = 128


class Part(NamedTuple):
    """As much of a part as the text of a statement depends on.

    ``payloads`` says whether the reader looks at what stands beside the ids: without, the index of the entries is all
    that is read. Most reads want the first entries, and few different numbers of them: their ``limit`` is written into
    the text, and is None otherwise. Where the limit is a parameter, PostgreSQL expects it to be a tenth of the timeline
    and rather plans the statement anew for each call, which takes 20 of 60 µs for 25 entries.
    """

    payloads: bool
    has_lowest: bool
    has_highest: bool
    descending: bool
    limit: int | None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of :func:`part_of`."""
        between = ("lowest",) * self.has_lowest + ("highest",) * self.has_highest
        return between if self.limit is not None else (*between, "limit", "offset")


def part_of(
    bounds: Bounds, start: int, stop: int | None, descending: bool, payloads: bool
) -> tuple[Part, tuple[Any, ...]]:
    """Return the part of a timeline at positions within bounds that are not empty, and the parameters for it."""
    lowest, highest = bounds
    between = (id_to_bytes(lowest),) if lowest > 0 else ()
    if highest < MAX_ID:
        between = (*between, id_to_bytes(highest))
    limit = FURTHEST if stop is None else min(max(stop - start, 0), FURTHEST)
    if start == 0 and limit <= _LONGEST_WRITTEN:
        return Part(payloads, lowest > 0, highest < MAX_ID, descending, limit), between
    return Part(payloads, lowest > 0, highest < MAX_ID, descending, None), (*between, limit, min(start, FURTHEST))
