"""One side of a comparison: the product, or the raw driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from feedstore import Activity, ActivityRef


class Side(ABC):
    """A store, and the calls of the operations on it.

    Both sides keep timelines of references: they store an id once however often it is added, trim exactly, commit each
    call, and return the same objects. The product also checks its arguments and keeps a floor; the raw side need
    not.

    If the product does not trim exactly in a fan-out, up to ``fan_out_excess`` older entries may stay on both sides.
    """

    fan_out_excess: int = 0

    @abstractmethod
    def add_activities(self, activities: Sequence[Activity]) -> None:
        """Serialize and store activities."""

    @abstractmethod
    def add_many(self, key: str, activities: Sequence[Activity]) -> None:
        """Add activities to one timeline."""

    @abstractmethod
    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        """Add ids to one timeline. It fills large timelines, and is never timed."""

    @abstractmethod
    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        """Add the same activities to many timelines and trim each."""

    @abstractmethod
    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        """Store one activity, add it to many timelines and trim each.

        It is one atomic step if the store can do so many writes in one.
        """

    @abstractmethod
    def add_with_payloads(self, keys: Sequence[str], activities: Sequence[Activity]) -> None:
        """Add activities with the payloads of :func:`~benchmarks.workloads.payload_of`. The time is not measured."""

    @abstractmethod
    def publish_with_payload(
        self, activity: Activity, keys: Sequence[str], max_length: int, companions: Sequence[str]
    ) -> None:
        """Store one activity, and deliver it with its payload to many timelines.

        The side keeps the newest :data:`~benchmarks.workloads.MAX_PER_PAYLOAD` entries of the payload, and trims each
        timeline. If the activity is new in a timeline, the side adds it to the timelines whose keys end in one of the
        suffixes ``companions``. It removes from them the entries that it drops from the timeline. All of this is one
        atomic step if the backend has the ability of atomic deliveries and the work does not exceed its bound.
        """

    @abstractmethod
    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        """Return the newest references of a timeline."""

    @abstractmethod
    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        """Return the newest activities of a timeline."""

    @abstractmethod
    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        """Return all references of a timeline, newest first.

        They are read in pages of ``limit``. Each page begins after the last id of the page before.
        """

    @abstractmethod
    def index_of(self, key: str, activity_id: int) -> int:
        """Return the number of entries of a timeline that are newer than a given entry."""

    @abstractmethod
    def contains(self, key: str, activity_id: int) -> bool:
        """Return whether a timeline holds an id."""

    @abstractmethod
    def count(self, key: str) -> int:
        """Return the number of entries of a timeline."""

    @abstractmethod
    def stored_bytes(self) -> int:
        """Return the present size of the store in bytes."""

    @abstractmethod
    def close(self) -> None:
        """Close the store."""

    def ids(self, keys: Iterable[str]) -> dict[str, list[int]]:
        """Return all ids of timelines, newest first, which must be equal on both sides after the work."""
        return {key: [reference.serialization_id for reference in self.newest(key, self.count(key))] for key in keys}

    def kept(self, keys: Iterable[str], length: int) -> dict[str, list[int]]:
        """Return :meth:`ids` of timelines that were fanned out to, without the older entries that may stay."""
        allowed = length + self.fan_out_excess
        return {key: ids[:length] + ids[allowed:] for key, ids in self.ids(keys).items()}
