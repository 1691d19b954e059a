"""The entries of one timeline in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import chain, filterfalse, repeat
from typing import Any

from feedstore.backends.memory.groups import Groups
from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.sorted_keys import SortedKeys
from feedstore.storage.bounds import Bounds

_EMPTY = b""
# If a change has more than one id in eight, all ids are sorted again: that costs less than adding each.
_PART = 8


class Entries:
    """The entries of a timeline: ids in ascending order, non-empty payloads by id, and the newest trimmed id.

    A timeline of references, the common kind, has no payloads. A timeline without deliveries with ``max_per_payload``
    has no groups.
    """

    __slots__ = ("groups", "ids", "newest_dropped", "payloads")

    def __init__(self) -> None:
        self.ids = SortedKeys()
        self.payloads: dict[int, Any] = {}
        self.groups: Groups | None = None
        self.newest_dropped: int | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, journal: Journal, serialized: Mapping[int, Any]) -> list[int]:
        """Add ``{id: payload}``, and return the new ids. O(log n) for each."""
        if len(serialized) == 1:
            ((activity_id, payload),) = serialized.items()
            return [activity_id] if self.add_one(journal, activity_id, payload) else []
        ids = self.ids
        new = [*serialized]
        if new and not ids.ends_before(min(new)):
            new = [activity_id for activity_id in new if ids.is_new(activity_id)]
        if new:
            journal.record((_take_back, self, *new))
            self._insert(new)
        for activity_id, payload in serialized.items():
            if self.payloads or payload != _EMPTY:
                self._keep_payload(journal, activity_id, payload)
        return new

    def add_one(self, journal: Journal, activity_id: int, payload: Any) -> bool:
        """Add one entry, and return whether it was new. Fan-outs of one activity use this short path."""
        is_new = self.ids.add_recorded(activity_id, journal.record, (_take_back, self, activity_id))
        if not is_new:
            if self.payloads or payload != _EMPTY:
                self._keep_payload(journal, activity_id, payload)
        elif payload != _EMPTY:
            self.payloads[activity_id] = payload
            if self.groups is not None:
                self.groups.join(activity_id, payload)
        return is_new

    def _insert(self, new: list[int]) -> None:
        """Add ids that are all new."""
        if len(new) > 1 and self.ids.append_many(sorted(new)):
            return
        if len(new) * _PART < len(self.ids) or len(new) == 1:
            for activity_id in new:
                self.ids.add(activity_id)
        else:
            self.ids = SortedKeys(chain(self.ids, new))

    def _keep_payload(self, journal: Journal, activity_id: int, payload: Any) -> None:
        before = self.payloads.get(activity_id, _EMPTY)
        journal.record((_restore_payload, self, activity_id, before))
        _set_payload(self.payloads, activity_id, payload)
        if self.groups is not None:
            self.groups.leave(activity_id, before)
            self.groups.join(activity_id, payload)

    def present(self, activity_ids: Collection[int]) -> list[int]:
        """Return those of some ids that are there. O(log n) for each, O(n) together if they are many."""
        ids = self.ids
        held = ids if len(activity_ids) * _PART < len(ids) else set(ids)
        return [activity_id for activity_id in activity_ids if activity_id in held]

    def remove(self, journal: Journal, activity_ids: Collection[int]) -> int:
        """Remove ids, and return the number that existed. O(log n) for each, O(n) together if they are many."""
        ids = self.ids
        present = self.present(activity_ids)
        if present:
            payloads = self._payloads_of(present)
            journal.record((_put_back, self, present, payloads, self.newest_dropped))
            if len(present) * _PART < len(ids):
                for activity_id in present:
                    ids.discard(activity_id)
            else:
                self.ids = SortedKeys(filterfalse(set(present).__contains__, ids))
            self._forget_payloads(payloads)
        return len(present)

    def trim(self, journal: Journal, length: int) -> list[int]:
        """Keep the newest ``length`` entries, and return the removed ids."""
        ids = self.ids
        surplus = len(ids) - length
        if surplus <= 0:
            return []
        if surplus == 1 and length:
            return [self._drop_oldest(journal)]
        dropped, newest_dropped = ids.first(surplus), self.newest_dropped
        payloads = self._payloads_of(dropped) if self.payloads else None
        journal.record((_put_back, self, dropped, payloads, newest_dropped))
        if length and surplus * _PART < length:
            ids.drop_first(surplus)
        else:
            self.ids = SortedKeys(ids[surplus:])
        if newest_dropped is None or dropped[-1] > newest_dropped:
            self.newest_dropped = dropped[-1]
        if payloads:
            self._forget_payloads(payloads)
        return dropped

    def _drop_oldest(self, journal: Journal) -> int:
        """Drop the oldest of several entries, as each fan-out to a full timeline does, and return its id."""
        ids, newest_dropped = self.ids, self.newest_dropped
        dropped = ids.first(1)
        activity_id: int = dropped[0]
        payload = self.payloads.get(activity_id) if self.payloads else None
        payloads = None if payload is None else {activity_id: payload}
        journal.record((_put_back, self, dropped, payloads, newest_dropped))
        ids.drop_first(1)
        if newest_dropped is None or activity_id > newest_dropped:
            self.newest_dropped = activity_id
        if payload is not None:
            del self.payloads[activity_id]
            if self.groups is not None:
                self.groups.leave(activity_id, payload)
        return activity_id

    def _payloads_of(self, activity_ids: list[int]) -> dict[int, Any]:
        payloads = self.payloads
        if len(activity_ids) == 1:
            (activity_id,) = activity_ids
            payload = payloads.get(activity_id, _EMPTY)
            return {} if payload == _EMPTY else {activity_id: payload}
        return {activity_id: payloads[activity_id] for activity_id in activity_ids if activity_id in payloads}

    def _forget_payloads(self, payloads: dict[int, Any]) -> None:
        groups, own = self.groups, self.payloads
        for activity_id, payload in payloads.items():
            del own[activity_id]
            if groups is not None:
                groups.leave(activity_id, payload)

    def limit(self, journal: Journal, payloads: Iterable[bytes], most: int) -> list[int]:
        """Keep the newest ``most`` entries of each of the payloads, and return the removed ids.

        The first call on a timeline, and the first one that removes entries of a payload, cost O(n). Later calls cost
        O(log n) for each removed id.
        """
        groups = self._grouped()
        dropped: list[int] = []
        for payload in payloads:
            if groups.count(payload) > most:
                surplus = groups.members(payload, self.ids, self.payloads)[:-most]
                self.remove(journal, surplus)
                dropped += surplus
        return dropped

    def limit_one(self, journal: Journal, payload: bytes, most: int) -> None:
        """Do as :meth:`limit` after the addition of one entry, which leaves one too many at most as a rule."""
        groups = self.groups or self._grouped()
        surplus = groups.count(payload) - most
        if surplus == 1:
            activity_id = groups.members(payload, self.ids, self.payloads)[0]
            journal.record((_put_back, self, [activity_id], {activity_id: payload}, self.newest_dropped))
            if self.ids.first(1)[0] == activity_id:
                self.ids.drop_first(1)
            else:
                self.ids.discard(activity_id)
            del self.payloads[activity_id]
            groups.leave(activity_id, payload)
        elif surplus > 0:
            self.limit(journal, (payload,), most)

    def limit_all(self, journal: Journal, most: int | None) -> None:
        """Keep the newest ``most`` entries of each payload of bytes; None keeps all. O(n)."""
        if most is None:
            return
        payloads = self.payloads
        counts = Counter(payload for payload in payloads.values() if payload.__class__ is bytes)
        rest = {payload: count - most for payload, count in counts.items() if count > most}
        surplus = []
        for activity_id in self.ids if rest else ():
            payload = payloads.get(activity_id)
            if payload.__class__ is bytes and rest.get(payload, 0):
                rest[payload] -= 1
                surplus.append(activity_id)
        self.remove(journal, surplus)

    def _grouped(self) -> Groups:
        if self.groups is None:
            self.groups = Groups(self.payloads)
        return self.groups

    def floor(self) -> int | None:
        """Return one more than the newest trimmed id, or None if no entry was trimmed."""
        return None if self.newest_dropped is None else self.newest_dropped + 1

    def slice(self, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[tuple[int, Any]]:
        """Return ``(id, payload)`` at positions within the bounds, in the direction. O(log n + result)."""
        first, end = self._range(bounds)
        if stop is None:
            stop = end - first
        if descending:
            ids = self.ids[max(end - stop, first) : max(end - start, first)]
            ids.reverse()
        else:
            ids = self.ids[min(first + start, end) : min(first + stop, end)]
        if not self.payloads:
            return [(activity_id, _EMPTY) for activity_id in ids]
        payloads = self.payloads
        return [(activity_id, payloads.get(activity_id, _EMPTY)) for activity_id in ids]

    def columns(self, limit: int, bounds: Bounds) -> tuple[list[int], list[Any]]:
        """Return the newest ``limit`` ids within the bounds, newest first, and their payloads. O(log n + result)."""
        first, end = self._range(bounds)
        ids = self.ids[max(end - limit, first) : end]
        ids.reverse()
        return ids, list(map(self.payloads.get, ids, repeat(_EMPTY)))

    def count(self, bounds: Bounds) -> int:
        """Return the number of ids within the bounds. O(log n)."""
        first, end = self._range(bounds)
        return end - first

    def _range(self, bounds: Bounds) -> tuple[int, int]:
        """Return the positions, oldest first, at which the bounds begin and end."""
        ids = self.ids
        if bounds.is_everything:
            return 0, len(ids)
        if bounds.is_empty:
            return 0, 0
        return ids.bisect_left(bounds.lowest), ids.bisect_right(bounds.highest)

    def index_of(self, activity_id: int) -> int | None:
        """Return the number of entries that are newer than the id, or None for an absent id. O(log n)."""
        if activity_id not in self.ids:
            return None
        newer: int = len(self.ids) - self.ids.bisect_right(activity_id)
        return newer


def _set_payload(payloads: dict[int, Any], activity_id: int, payload: Any) -> None:
    if payload.__class__ is not bytes or payload:
        payloads[activity_id] = payload
    else:
        payloads.pop(activity_id, None)


# The undo steps of a timeline. An interrupt may leave derived data inconsistent, so each step first computes it again.


def _take_back(entries: Entries, *activity_ids: int) -> None:
    entries.groups = None
    entries.ids.mend()
    for activity_id in activity_ids:
        entries.ids.discard(activity_id)
        entries.payloads.pop(activity_id, None)


def _put_back(
    entries: Entries, activity_ids: list[int], payloads: dict[int, Any] | None, newest_dropped: int | None
) -> None:
    entries.groups = None
    entries.ids.mend()
    entries.newest_dropped = newest_dropped
    entries._insert([activity_id for activity_id in activity_ids if activity_id not in entries.ids])
    entries.payloads.update(payloads or {})


def _restore_payload(entries: Entries, activity_id: int, before: Any) -> None:
    entries.groups = None
    _set_payload(entries.payloads, activity_id, before)
