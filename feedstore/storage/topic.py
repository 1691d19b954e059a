"""What a notifier tells of: a timeline or a queue of one namespace."""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

DIGEST_BYTES = 8


class Kind(str, Enum):
    """What a key is the key of."""

    TIMELINE = "timeline"
    QUEUE = "queue"


class Topic(NamedTuple):
    """Something that may change, in one namespace."""

    namespace: str
    kind: Kind
    key: str

    @property
    def digest(self) -> bytes:
        """The 8 bytes that stand for the topic between processes, however long its key.

        Two topics that share one cost a look for nothing: who is told of a change looks for itself.
        """
        # Neither a namespace nor a kind holds a NUL, so that no two topics are written the same way.
        text = f"{self.namespace}\0{self.kind.value}\0{self.key}"
        return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def cut(digests: bytes) -> list[bytes]:
    """Return the digests that were joined into one run of bytes."""
    return [digests[start : start + DIGEST_BYTES] for start in range(0, len(digests), DIGEST_BYTES)]
