"""The state of cached nodes in one process."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import datetime, timezone

from feedstore.pubsub.analysers import Parser
from feedstore.pubsub.values import ItemsPublished, ItemsRetracted, PubsubEvent
from feedstore.storage.documents import DocumentNode, NodeKey

_MOST_HELD = 10_000
_MOST_WATCHES = 10_000
_LONGEST_PAUSE = 300.0


class SyncRun:
    """A synchronisation that this process runs.

    Attributes:
        token: the token of the claim.
        until: the monotonic time at which it must have ended.
        deferred: the events that came during the synchronisation. They are applied in their order after the last page,
            so that no older page replaces the change of an event.
        applied: the held and deferred events whose changes are stored.
        has_lost_events: whether more events came than ``deferred`` may hold.
        ended: set at the end.
    """

    def __init__(self, token: str, seconds: float) -> None:
        self.token = token
        self.until = time.monotonic() + seconds
        self.deferred: list[PubsubEvent] = []
        self.applied: list[PubsubEvent] = []
        self.has_lost_events = False
        self.ended = threading.Event()


class NodeWatch:
    """The state of one node in this process. Its lock orders the application of events and the end of a run.

    Attributes:
        run: the synchronisation that this process runs, or None.
        held: the events that came while another process synchronised the node.
        verified: the end of the last synchronisation by this process, and its begin in monotonic time.
        refresh_reason: the reason for which the cached items may differ from those of the service, or None.
        uncounted: the publications after which the service may have dropped old items.
        changes: the number of times that events were applied.
        answered: the number of changes and the node as they were after the last answer of the cache, or None.
        analysed: the number of analysers of the last analysis that found none.
        parser: the parser that a ``match_cb`` chose, or None.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.run: SyncRun | None = None
        self.held: list[PubsubEvent] = []
        self.verified: tuple[datetime, float] | None = None
        self.refresh_reason: str | None = None
        self.uncounted = 0
        self.changes = 0
        self.answered: tuple[int, DocumentNode] | None = None
        self.analysed = -1
        self.parser: Parser | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._writes: dict[object, float] = {}
        self._collecting: list[set[object]] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing is known of the node but that no analyser matches it, or that its analysis failed."""
        is_changing = self.run or self.held or self._writes or self._collecting
        return not (
            is_changing or self.verified or self.answered or self.refresh_reason or self.uncounted or self.parser
        )

    @property
    def may_retry(self) -> bool:
        """Whether the pause after a failure is over."""
        return time.monotonic() >= self._retry_at

    def note_failure(self) -> None:
        """Begin a pause of 1, 2, 4 and up to 300 seconds, in which nothing is tried."""
        self._retry_at = time.monotonic() + min(2.0**self._failures, _LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 16)

    def note_success(self) -> None:
        """End the pause."""
        self._failures, self._retry_at = 0, 0.0

    def reset(self) -> None:
        """Forget the analysis and the synchronisation of a node that was deleted."""
        self.verified, self.refresh_reason, self.parser, self.analysed = None, None, None, -1
        self.uncounted = 0

    def defer(self, event: PubsubEvent) -> None:
        """Keep an event until the end of the run. The caller holds the lock."""
        assert self.run is not None
        if len(self.run.deferred) >= _MOST_HELD:
            self.run.has_lost_events = True
        else:
            self.run.deferred.append(event)

    def hold(self, event: PubsubEvent) -> None:
        """Keep an event until another process has synchronised the node. The caller holds the lock."""
        if len(self.held) >= _MOST_HELD:
            self.refresh_reason = "too many events came during a synchronisation"
        else:
            self.held.append(event)

    def begin_write(self) -> set[object]:
        """Return a set to which the marks of events (:func:`marks_of`) are added until :meth:`end_write`."""
        collected: set[object] = set()
        with self.lock:
            self._collecting.append(collected)
        return collected

    def end_write(self, collected: set[object], marks: Iterable[object], seconds: float) -> None:
        """Await the events of changes by this process, except those that came during the change."""
        until = time.monotonic() + seconds
        with self.lock:
            # By identity: two sets of concurrent writes may be equal.
            self._collecting = [one for one in self._collecting if one is not collected]
            self._writes.update((one, until) for one in marks if one not in collected)

    def note_event(self, event: PubsubEvent) -> None:
        """Note that an event was applied. The caller holds the lock."""
        if self._writes or self._collecting:
            for mark in marks_of(event):
                self._writes.pop(mark, None)
                for collected in self._collecting:
                    collected.add(mark)

    @property
    def awaits_events(self) -> bool:
        """Whether an event of a change by this process has not come. If it is overdue, the node must be refreshed."""
        if not self._writes:
            return False
        with self.lock:
            if min(self._writes.values(), default=float("inf")) <= time.monotonic():
                self._writes.clear()
                self.refresh_reason = "the service sent no event of a change"
            return bool(self._writes)


class ProcessState:
    """The state of a cache in one process. A forked child has a new one.

    Attributes:
        holding: the nodes with held events.
        tokens: the tokens of the synchronisations that this process runs.
    """

    def __init__(self, trusts_stored: bool = False) -> None:
        self.process = os.getpid()
        # For each service, and under None for all, the last moment at which events may have been lost.
        self._missed: dict[str | None, tuple[datetime, float]] = {
            None: (datetime.min.replace(tzinfo=timezone.utc) if trusts_stored else now(), time.monotonic())
        }
        self.holding: set[NodeKey] = set()
        self.tokens: set[str] = set()
        self._name = uuid.uuid4().hex[:8]
        self._watches: dict[NodeKey, NodeWatch] = {}
        self._most_watches = _MOST_WATCHES

    def watch(self, key: NodeKey) -> NodeWatch:
        """Return the state of a node."""
        found = self._watches.get(key)
        if found is not None:
            return found
        if len(self._watches) >= self._most_watches:
            self._forget_idle()
        return self._watches.setdefault(key, NodeWatch())

    def _forget_idle(self) -> None:
        """Forget idle nodes, so that requests for any number of names that no service has fill no memory."""
        for key, watch in self.known():
            if watch.is_idle:
                self._watches.pop(key, None)
        self._most_watches = max(_MOST_WATCHES, 2 * len(self._watches))

    def note_missed(self, service: str | None) -> None:
        """Note that events of a service, or of all, may have been lost until now."""
        self._missed[service] = (now(), time.monotonic())

    def is_verified(self, node: DocumentNode, watch: NodeWatch) -> bool:
        """Return whether a synchronised node has received every event since its synchronisation."""
        updated = node.sync_state_updated
        missed = [one for one in (self._missed[None], self._missed.get(node.key.service)) if one is not None]
        if watch.verified is not None and watch.verified[0] == updated:
            # By the monotonic clock, because the other one may go back.
            return all(watch.verified[1] >= moment for _, moment in missed)
        return updated is not None and all(updated >= at for at, _ in missed)

    def known(self) -> list[tuple[NodeKey, NodeWatch]]:
        """Return the nodes that this process has used."""
        return list(self._watches.items())

    def new_token(self) -> str:
        """Return a token of a synchronisation that names this process and this cache."""
        number = uuid.uuid4().hex
        return f"{_place()}/{self.process}/{_start_of(self.process)}/{self._name}/{number}"

    def is_gone(self, node: DocumentNode, stale_before: datetime) -> bool:
        """Return whether the process that synchronises a node has ended, or has given no sign of life since a time."""
        if node.sync_token is None or (node.sync_state_updated or stale_before) <= stale_before:
            return True
        parts = node.sync_token.split("/")
        if len(parts) != 5 or parts[0] != _place() or not parts[1].isdecimal():
            return False
        if parts[3] == self._name:
            return node.sync_token not in self.tokens
        start = _start_of(int(parts[1]))
        return start is None or (start != parts[2] and "-" not in (start, parts[2]))


def _place() -> str:
    """Return the name of this machine and of its PID namespace: containers on one network share the former."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname()}:{namespace}"


def _start_of(process: int) -> str | None:
    """Return the start of a process by the system's clock, or ``-`` if it is unknown; None without such a process."""
    try:
        os.kill(process, 0)
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (ProcessLookupError, OverflowError):
        return None
    except OSError:
        # The process belongs to another user, or the system has no such file.
        return "-"


def now() -> datetime:
    """Return the present."""
    return datetime.now(timezone.utc)


def marks_of(event: PubsubEvent) -> tuple[object, ...]:
    """Return the ids of the items that an event changes, or the class of an event that changes the whole node."""
    if isinstance(event, ItemsPublished):
        return tuple(item.id for item in event.items)
    return event.item_ids if isinstance(event, ItemsRetracted) else (type(event),)
