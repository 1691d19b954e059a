"""Checkpoints of ingestions, which are stored beside the ingested activities."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any

from feedstore.errors import ItemNotFound, StoredDataError
from feedstore.ingest.lines import InputPosition
from feedstore.storage import Backend, Batch

KV_NAME = "ingest"
"""The key-value storage that holds the checkpoints."""

_VERSION = 2
_KEY_BYTES = 20


@dataclass(frozen=True)
class Checkpoint:
    """The state of the ingestion of the input ``source``, over all runs that resumed one another.

    ``rows`` is the number of stored rows, ``deliveries`` the number of their deliveries to followers' timelines, and
    ``skipped`` the number of refused rows. ``has_follows`` is True if the followers were in memory, or came from the
    application, and not from a stored graph. A later run resumes at ``position``. A checkpoint holds no address of a
    store and no password.
    """

    source: str
    position: InputPosition
    rows: int = 0
    deliveries: int = 0
    skipped: int = 0
    has_follows: bool = False
    finished: bool = False


class Checkpoints:
    """The checkpoints of a backend's namespace, one for each input that was ingested into it."""

    def __init__(self, backend: Backend) -> None:
        self._items = backend.kv_storage(KV_NAME)

    def find(self, source: str) -> Checkpoint | None:
        """Return the checkpoint of an input by its identity, None if there is none. One round trip."""
        try:
            found = _checkpoint_of(self._items.fetch_one(_key_of(source)))
        except ItemNotFound:
            return None
        # The stored name may lack bytes of a path that UTF-8 cannot carry.
        return replace(found, source=source)

    def save(self, checkpoint: Checkpoint, batch_interface: Batch | None = None) -> None:
        """Insert or replace the checkpoint of its input."""
        value = asdict(checkpoint) | {"version": _VERSION, "position": list(checkpoint.position)}
        value["source"] = _storable(checkpoint.source)
        self._items.upsert(_key_of(checkpoint.source), value, batch_interface=batch_interface)

    def __iter__(self) -> Iterator[Checkpoint]:
        """Yield all checkpoints, in no particular order."""
        return map(_checkpoint_of, self._items.fetch_all())


def _key_of(source: str) -> str:
    # A path may be longer than a key.
    return blake2b(os.fsencode(source), digest_size=_KEY_BYTES).hexdigest()


def _storable(source: str) -> str:
    """Return a path as a str that UTF-8 can encode, with U+FFFD in place of bytes that are not UTF-8."""
    return os.fsencode(source).decode(errors="replace")


def _checkpoint_of(value: Any) -> Checkpoint:
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        raise StoredDataError(
            "a checkpoint of an ingestion has another format than this release writes; a newer one may have written it"
        )
    fields = {name: field for name, field in value.items() if name != "version"}
    return Checkpoint(**(fields | {"position": InputPosition(*value["position"])}))
