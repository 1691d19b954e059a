"""A batch: writes of several storages of one backend, committed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from feedstore.errors import InvalidValueError
from feedstore.storage.transaction import Pending, Transaction

if TYPE_CHECKING:
    from feedstore.storage.activity import ActivityStorage
    from feedstore.storage.backend import Backend
    from feedstore.storage.kv import KvStorage
    from feedstore.storage.notify import Notifier
    from feedstore.storage.timeline import TimelineStorage
    from feedstore.storage.writer import Writer


class Operation(NamedTuple):
    """One write of a batch.

    - ``storage`` is the storage that writes.
    - ``write`` calls the storage's hook, whose arguments are checked and serialized, with the batch's transaction.
    - ``report`` is called once the batch has been committed.
    - ``keys`` are the timelines that it changes; ``creates`` says whether it creates those that are missing.
    """

    storage: Writer
    write: Callable[[Transaction], Pending[Any]]
    report: Callable[[], None] | None = None
    keys: Sequence[str] = ()
    creates: bool = False


class Batch:
    """A context manager that collects writes, and commits them in their order when it ends without an exception.

    The writes of its own storages (:attr:`activities`, :attr:`timelines`, :meth:`kv`) join it, and so do the calls of
    other storages that are given it as ``batch_interface=``. Each is checked and serialized at the call and returns
    None; ``results`` holds what they count, in order, once the batch has ended. Reads never see the collected writes.
    An exception inside the block sends nothing. An empty batch sends nothing. One batch is one ``with`` block of one
    thread; entering it again is an error.

    With ``atomic=True`` all writes happen or none, inside the backend's atomic scope
    (``backend.abilities.atomic_scope``); beyond it :class:`AtomicityError` is raised before anything is sent.

    >>> from feedstore import Activity, connect
    >>> like = Activity("ann", "like", "photo:7")
    >>> with connect("memory://").batch(atomic=True) as batch:
    ...     batch.activities.add(like)
    ...     batch.timelines.add_to_many(["feed:bob", "feed:eve"], [like], max_length=800)
    >>> batch.results
    [1, 2]
    """

    def __init__(self, backend: Backend, atomic: bool = False) -> None:
        self.backend = backend
        self.atomic = atomic
        self.results: list[Any] = []
        self._operations: list[Operation] = []
        self._changed_keys: dict[Notifier, dict[str, None]] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._state = "new"

    @property
    def activities(self) -> ActivityStorage:
        """The backend's activity storage, whose writes all join this batch."""
        return self.backend.activity_storage().bound_to(self)

    @property
    def timelines(self) -> TimelineStorage:
        """The backend's timeline storage, whose writes all join this batch."""
        return self.backend.timeline_storage().bound_to(self)

    def kv(self, name: str = "default") -> KvStorage:
        """Return the backend's key-value storage of that name, whose writes all join this batch."""
        return self.backend.kv_storage(name).bound_to(self)

    def require(self, kv: KvStorage, key: str, value: Any) -> None:
        """Make it a precondition of this atomic batch that a key of ``kv`` has ``value`` (K7).

        If it does not hold when the block ends, :class:`ConditionFailedError` is raised and nothing is written.
        """
        kv.require(key, value, batch_interface=self)

    def require_absent(self, kv: KvStorage, key: str) -> None:
        """Make it a precondition of this atomic batch that a key of ``kv`` has no value."""
        kv.require_absent(key, batch_interface=self)

    def enqueue(
        self,
        storage: Writer,
        write: Callable[[Transaction], Pending[Any]],
        report: Callable[[], None] | None = None,
        keys: Sequence[str] = (),
        creates: bool = False,
    ) -> None:
        """Collect a write of ``storage``; see :class:`Operation` for the other arguments.

        Raises:
            InvalidValueError: outside the block, and for a storage of another backend or namespace.
        """
        if self._state != "open":
            raise InvalidValueError(f"this batch is {self._state}; writes join it inside its own `with` block")
        if not self.backend.shares_batches_with(storage.backend):
            raise InvalidValueError(
                "the batch belongs to another backend or namespace than the storage it was given to"
            )
        self._operations.append(Operation(storage, write, report, keys, creates))

    def publish_later(self, notifier: Notifier, keys: Iterable[str]) -> None:
        """Publish changes of timelines once the batch has been committed, those of one notifier together."""
        self._changed_keys.setdefault(notifier, {}).update(dict.fromkeys(keys))

    def call_after_commit(self, callback: Callable[[], None]) -> None:
        """Call a function once the batch has been committed, reported and published, and never if it was not."""
        self._callbacks.append(callback)

    def __len__(self) -> int:
        return len(self._operations)

    def __enter__(self) -> Batch:
        if self._state != "new":
            raise InvalidValueError(f"this batch is {self._state}; make a new one with backend.batch()")
        self.backend.check_open()
        self._state = "open"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        operations, self._operations = self._operations, []
        self._state = "ended"
        if error is None and operations:
            self._commit(operations)
            for operation in operations:
                if operation.report is not None:
                    operation.report()
            for notifier, keys in self._changed_keys.items():
                notifier.publish_stored(keys)
            for callback in self._callbacks:
                callback()

    def _commit(self, operations: list[Operation]) -> None:
        """Commit the writes within the metrics' timer of batches, and keep their results."""
        timer = self.backend.metrics.storage_timer(type(self.backend), "batch")
        with nullcontext() if timer is None else timer:
            self.results = [pending.result for pending in self.backend.transact(operations, self.atomic)]
