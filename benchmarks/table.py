"""The backend table: how to open both sides on each backend, and what the product aims at there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.product import ProductSide
from benchmarks.raw.memory import RawMemorySide
from benchmarks.raw.sqlite import RawSqliteSide
from benchmarks.side import Side
from benchmarks.sqlite_file import stored_bytes
from benchmarks.traced import traced_bytes
from feedstore import connect

_BULK = ("timeline_add_many", "timeline_add_many_shuffled")
_FAN_OUT = ("fan_out_1_to_100", "fan_out_1_to_800", "fan_out_25_to_100", "fan_out_25_to_800")
_MEMORY_AIMS = {**dict.fromkeys([*_BULK, *_FAN_OUT], 0.4), **dict.fromkeys(["newest_25", "newest_25_hydrated"], 0.5)}
_SQLITE_AIMS = {
    **dict.fromkeys(["activities_add_many", *_BULK, *_FAN_OUT, "newest_25"], 0.7),
    "newest_25_hydrated": 0.6,
}


class Laboratory(ABC):
    """A backend's place to measure in: it opens new, empty stores, and takes them away when it is closed."""

    driver: str
    aims: Mapping[str, float]

    @abstractmethod
    def open_product(self) -> Side:
        """Return the product's side on a store of its own."""

    @abstractmethod
    def open_raw(self) -> Side:
        """Return the raw driver's side on a store of its own."""

    @abstractmethod
    def close(self) -> None:
        """Take away what was made."""


class MemoryLaboratory(Laboratory):
    """Stores in this process."""

    driver = "sortedcontainers"
    aims = _MEMORY_AIMS

    def open_product(self) -> Side:
        return ProductSide(connect("memory://"), traced_bytes)

    def open_raw(self) -> Side:
        return RawMemorySide()

    def close(self) -> None:
        """Nothing outlives its side."""


class SqliteLaboratory(Laboratory):
    """Files in a temporary folder."""

    driver = "sqlite3"
    aims = _SQLITE_AIMS

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="feedstore-benchmarks-")
        self._numbers = count()

    def open_product(self) -> Side:
        path = self._new_path()
        return ProductSide(connect(f"sqlite:///{path}"), lambda: stored_bytes(path))

    def open_raw(self) -> Side:
        return RawSqliteSide(self._new_path())

    def _new_path(self) -> Path:
        return Path(self._folder.name) / f"{next(self._numbers)}.db"

    def close(self) -> None:
        self._folder.cleanup()


LABORATORIES: Mapping[str, Callable[[], Laboratory]] = {"memory": MemoryLaboratory, "sqlite": SqliteLaboratory}
