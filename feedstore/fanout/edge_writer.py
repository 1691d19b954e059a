"""The writes of the follow graph: a row and two entries for each edge, consistent after a crash."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from feedstore.errors import AtomicityError, BlockedError, ConditionFailedError
from feedstore.fanout.edges import (
    Edge,
    Follow,
    FollowSerializer,
    followers_key,
    following_key,
    timeline_entries,
    token_of,
)
from feedstore.feeds import UserId
from feedstore.shown import shown
from feedstore.storage import AtomicScope, Backend, Batch, KvStorage, TimelineStorage

_MOST_ATTEMPTS = 100
_NONCE_BITS = 62
# The key of the item that changes with each repair. The key of a row begins with a brace.
_REPAIRS = "repairs"
EdgeRows = Mapping[str, Any]
"""The values of the rows of edges by key."""


def is_mark(value: object) -> bool:
    """Return whether the value of a row is the mark of a follow; a removed edge may leave a negative number."""
    return isinstance(value, int) and value >= 0


class EdgeWriter:
    """Adds and removes edges.

    If the store commits conditional writes and timelines atomically, an edge is one atomic batch. Otherwise the order
    of the writes keeps the edges consistent: the entries are added before the row is set, and removed after the row
    is changed. One conditional write of the row is the moment of the change, and readers leave out an entry
    unless its row confirms it. A crash therefore leaves at most an entry that no page shows.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self.backend = backend
        self.rows: KvStorage = backend.kv_storage(name)
        self.timelines: TimelineStorage[Follow] = backend.timeline_storage(FollowSerializer, name=name)
        abilities = backend.abilities
        self.is_atomic = abilities.conditional_batches and abilities.atomic_scope is AtomicScope.BACKEND

    def read(self, edges: Iterable[Edge]) -> dict[str, Any]:
        """Return the values of the rows of edges by key; absent rows are left out. A bounded number of round trips."""
        return self.rows.fetch_many([edge.row_key for edge in edges])

    def add(self, edges: Sequence[Edge], since: datetime | None, guards: Sequence[Edge] = ()) -> int:
        """Add edges, and return how many are new.

        Raises:
            BlockedError: One of the ``guards`` exists; nothing is added.
        """
        if self.is_atomic:
            return self.change(edges, since, (), guards)
        return sum(self._add_in_order(edge, since, guards) for edge in edges)

    def remove(self, edges: Sequence[Edge]) -> int:
        """Remove edges, and return how many existed."""
        if self.is_atomic:
            return self.change((), None, edges)
        return sum(self._remove_in_order(edge) for edge in edges)

    def exchange(self, added: Edge, removed: Sequence[Edge]) -> bool:
        """Add an edge and remove others; return whether anything changed. Atomic if the store can do it."""
        if self.is_atomic:
            return bool(self.change([added], None, removed))
        changed = self._add_in_order(added, None, ())
        return bool(self.remove(removed)) or changed

    def change(
        self, added: Sequence[Edge], since: datetime | None, removed: Sequence[Edge], guards: Sequence[Edge] = ()
    ) -> int:
        """Add and remove edges in one atomic batch; return how many edges changed.

        One round trip if all added edges are new and none is removed, otherwise two; more if others change the same
        edges at the same time.
        """
        edges = [*added, *removed]
        rows: EdgeRows = self.read(edges) if removed else {}
        for _ in range(_MOST_ATTEMPTS):
            new = [(edge, _new_mark(edge, since)) for edge in added if not is_mark(rows.get(edge.row_key))]
            old = [(edge, rows[edge.row_key]) for edge in removed if is_mark(rows.get(edge.row_key))]
            if not new and not old:
                return 0
            try:
                self._commit(edges, rows, new, old, guards)
                return len(new) + len(old)
            except ConditionFailedError:
                rows = self.read([*edges, *guards])
                # A write that is sent again after a lost answer fails, although its first attempt succeeded.
                if new and all(rows.get(edge.row_key) == mark for edge, mark in new):
                    return len(new) + len(old)
                _check_guards(guards, rows)
        raise _contention(edges[0])

    def _commit(
        self,
        edges: Sequence[Edge],
        rows: EdgeRows,
        new: Sequence[tuple[Edge, int]],
        old: Sequence[tuple[Edge, int]],
        guards: Sequence[Edge],
    ) -> None:
        marks = {edge.row_key: mark for edge, mark in new}
        with self.backend.batch(atomic=True) as batch:
            for key in dict.fromkeys(edge.row_key for edge in edges):
                self._expect(key, rows, marks, batch)
            for key in dict.fromkeys(guard.row_key for guard in guards):
                self.rows.require_absent(key, batch_interface=batch)
            for edge, mark in old:
                self.rows.delete(edge.row_key, batch_interface=batch)
                self.timelines.remove_from_many([edge.following_key, edge.followers_key], [mark], batch_interface=batch)
            self.timelines.add_to_each(timeline_entries(new), batch_interface=batch)

    def _expect(self, key: str, rows: EdgeRows, marks: Mapping[str, int], batch: Batch) -> None:
        """Make the row that was read a precondition of the batch, and write the mark of a new edge."""
        if key in marks and key in rows:
            self.rows.replace(key, rows[key], marks[key], batch_interface=batch)
        elif key in marks:
            self.rows.insert(key, marks[key], batch_interface=batch)
        elif key in rows:
            self.rows.require(key, rows[key], batch_interface=batch)
        else:
            self.rows.require_absent(key, batch_interface=batch)

    def _add_in_order(self, edge: Edge, since: datetime | None, guards: Sequence[Edge]) -> bool:
        """Add an edge: entries, row. Four round trips; three without guards; one if the edge exists."""
        for _ in range(_MOST_ATTEMPTS):
            rows = self.read([edge, *guards])
            if is_mark(rows.get(edge.row_key)):
                return False
            _check_guards(guards, rows)
            mark = _new_mark(edge, since)
            self.timelines.add_to_each(edge.entries(mark))
            if self._set_row(edge.row_key, rows.get(edge.row_key), mark):
                self._recheck_guards(edge, mark, guards)
                return True
            self._remove_entries(edge, mark)
        raise _contention(edge)

    def _recheck_guards(self, edge: Edge, mark: int, guards: Sequence[Edge]) -> None:
        """Undo the addition of an edge by this call if a guard was added at the same time."""
        try:
            _check_guards(guards, self.read(guards) if guards else {})
        except BlockedError:
            # The edge may have been removed, and added again by another call after the end of the guard.
            if self.rows.get(edge.row_key) == mark and self._set_row(edge.row_key, mark, _removed_mark()):
                self._remove_entries(edge, mark)
            raise

    def _remove_in_order(self, edge: Edge) -> bool:
        """Remove an edge: row, entries. Three round trips, or one if the edge does not exist."""
        for _ in range(_MOST_ATTEMPTS):
            value = self.rows.get(edge.row_key)
            if not is_mark(value):
                return False
            if self._set_row(edge.row_key, value, _removed_mark()):
                self._remove_entries(edge, value)
                return True
        raise _contention(edge)

    def _set_row(self, key: str, old: Any, new: int) -> bool:
        """Set a row if it is as it was read, and return whether it has the new value now."""
        if not self.backend.abilities.conditional_writes:
            self.rows.upsert(key, new)
            return True
        is_set = self.rows.insert(key, new) if old is None else self.rows.replace(key, old, new)
        # A write that is sent again after a lost answer fails, although its first attempt succeeded.
        return bool(is_set) or self.rows.get(key) == new

    def _remove_entries(self, edge: Edge, mark: int) -> None:
        self.timelines.remove_from_many([edge.following_key, edge.followers_key], [mark])

    def confirmed(self, found: Sequence[tuple[Edge, Follow]]) -> list[Follow]:
        """Return the entries that their rows confirm, in their order. No round trip if edges are atomic."""
        if self.is_atomic or not found:
            return [follow for _, follow in found]
        rows = self.read([edge for edge, _ in found])
        return [follow for edge, follow in found if rows.get(edge.row_key) == follow.serialization_id]

    def drop_unconfirmed(self, found: Sequence[tuple[Edge, Follow]]) -> int:
        """Remove the entries that their rows do not confirm, and return how many there were.

        An import sets rows without a condition, and a repeated import writes the same entries. It may therefore set a
        row after this call found the entries unconfirmed. If it has set the row by the end of this call, this call adds
        the entries again; otherwise the import does, because the item of repairs has changed.
        """
        confirmed = {follow.serialization_id for follow in self.confirmed(found)}
        stale = [(edge, follow.serialization_id) for edge, follow in found if follow.serialization_id not in confirmed]
        removed: list[tuple[Edge, int]] = []
        for edge, mark in stale:
            value = self.rows.get(edge.row_key)
            # A writer that has added its entries, but not its row, then fails and adds new ones.
            while not is_mark(value) and not self._set_row(edge.row_key, value, _removed_mark()):
                value = self.rows.get(edge.row_key)
            if value != mark:
                self._remove_entries(edge, mark)
                removed.append((edge, mark))
        if removed:
            self.rows.upsert(_REPAIRS, secrets.randbits(_NONCE_BITS))
            self._restore_confirmed(removed)
        return len(stale)

    def _restore_confirmed(self, removed: Sequence[tuple[Edge, int]]) -> None:
        """Add the removed entries again that their rows confirm now."""
        rows = self.read([edge for edge, _ in removed])
        for edge, mark in removed:
            if rows.get(edge.row_key) != mark:
                continue
            self.timelines.add_to_each(edge.entries(mark))
            # The edge may have been removed before its entries were added again.
            if self.rows.get(edge.row_key) != mark:
                self._remove_entries(edge, mark)

    def drop_ended(self, user: UserId, kinds: Iterable[str]) -> None:
        """Delete the empty timelines of a user, whose keys SQL stores keep, and the rows of ended edges.

        Up to four round trips for each kind. On stores that keep rows of ended edges, it reads the keys of all rows.
        """
        for key in (key_of(user, kind) for kind in kinds for key_of in (following_key, followers_key)):
            if not self.timelines.count(key):
                self.timelines.delete(key)
        if self.is_atomic:
            return
        own, others = f"{{{token_of(user)}}}:", f":{token_of(user)}"
        for key in self.rows.keys():  # noqa: SIM118 - a storage's keys(), not a dictionary's
            if (key.startswith(own) or key.endswith(others)) and not is_mark(self.rows.get(key)):
                self.rows.delete(key)

    def load(self, edges: Iterable[tuple[Edge, datetime]]) -> int:
        """Add edges of a bulk import with their times, and return how many are new.

        The marks depend on the edges and times alone, so that a repeated import writes the same entries again.
        """
        first: dict[str, tuple[Edge, datetime]] = {}
        for edge, since in edges:
            first.setdefault(edge.row_key, (edge, since))
        rows = self.rows.fetch_many(first if self.is_atomic else [*first, _REPAIRS])
        new = [(edge, edge.mark(since, 0)) for key, (edge, since) in first.items() if not is_mark(rows.get(key))]
        if new:
            self._load_part(new)
            if not self.is_atomic and self.rows.get(_REPAIRS) != rows.get(_REPAIRS):
                # A repair may have removed the entries before their rows were set.
                self.timelines.add_to_each(timeline_entries(new))
        return len(new)

    def _load_part(self, new: list[tuple[Edge, int]]) -> None:
        if not self.is_atomic:
            self.timelines.add_to_each(timeline_entries(new))
            with self.backend.batch() as batch:
                self._upsert_rows(new, batch)
            return
        try:
            with self.backend.batch(atomic=True) as batch:
                self.timelines.add_to_each(timeline_entries(new), batch_interface=batch)
                self._upsert_rows(new, batch)
        except AtomicityError:
            # Redis bounds the work of an atomic batch.
            if len(new) == 1:
                raise
            middle = len(new) // 2
            self._load_part(new[:middle])
            self._load_part(new[middle:])

    def _upsert_rows(self, new: list[tuple[Edge, int]], batch: Batch) -> None:
        for edge, mark in new:
            self.rows.upsert(edge.row_key, mark, batch_interface=batch)


def _new_mark(edge: Edge, since: datetime | None) -> int:
    return edge.mark(datetime.now(timezone.utc) if since is None else since, secrets.randbits(_NONCE_BITS))


def _removed_mark() -> int:
    return -1 - secrets.randbits(_NONCE_BITS)


def _check_guards(guards: Sequence[Edge], rows: EdgeRows) -> None:
    for guard in guards:
        if is_mark(rows.get(guard.row_key)):
            raise BlockedError(f"{shown(guard.follower)} has blocked {shown(guard.followed)}; unblock first")


def _contention(edge: Edge) -> ConditionFailedError:
    return ConditionFailedError(
        f"the edge from {shown(edge.follower)} to {shown(edge.followed)} was changed by others {_MOST_ATTEMPTS} times "
        "during one call; call again"
    )
