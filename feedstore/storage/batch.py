"""The part of a batch that collects writes and commits them. Storages use only this part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self

from feedstore.errors import InvalidValueError
from feedstore.storage.notify.subscription import Notifier
from feedstore.storage.session import Operation, Pending, Session, Transaction


class WriteBatch:
    """A context manager that collects writes of one namespace, and commits them when it ends without an exception.

    Backends make a :class:`~feedstore.storage.Batch`, which adds storages of its own.
    """

    def __init__(self, session: Session[Any], atomic: bool = False) -> None:
        self.session = session
        self.atomic = atomic
        self.results: list[Any] = []
        self._operations: list[Operation] = []
        self._changed_keys: dict[Notifier, dict[str, None]] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._state = "new"

    def enqueue(
        self,
        session: Session[Any],
        write: Callable[[Transaction], Pending[Any]],
        report: Callable[[], None] | None = None,
        keys: Sequence[str] = (),
    ) -> None:
        """Collect a write of a storage on ``session``. :class:`Operation` describes the other arguments.

        Raises:
            InvalidValueError: The call is outside the batch's block, or the storage has another backend or namespace.
        """
        if self._state != "open":
            raise InvalidValueError(f"this batch is {self._state}; pass it to writes inside its own `with` block")
        if not self.session.shares_batches_with(session):
            raise InvalidValueError(
                "the batch belongs to another backend or namespace than this storage; use backend.batch() of the "
                "storage's backend"
            )
        self._operations.append(Operation(session, write, report, keys))

    def publish_later(self, notifier: Notifier, keys: Iterable[str]) -> None:
        """Publish changes of timelines after the batch was committed, in one call for each notifier."""
        self._changed_keys.setdefault(notifier, {}).update(dict.fromkeys(keys))

    def call_after_commit(self, callback: Callable[[], None]) -> None:
        """Call a function once the batch has been committed, reported and published, and never if it was not."""
        self._callbacks.append(callback)

    def __len__(self) -> int:
        return len(self._operations)

    def __enter__(self) -> Self:
        if self._state != "new":
            raise InvalidValueError(f"this batch is {self._state}; make a new one with backend.batch()")
        self.session.check_open()
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
        timer = self.session.metrics.storage_timer(self.session.backend_class, "batch")
        with nullcontext() if timer is None else timer:
            self.results = [pending.result for pending in self.session.transact(operations, self.atomic)]
