"""The part of every storage that writes: a call commits its writes immediately, or adds them to a batch."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from feedstore.errors import InvalidTypeError
from feedstore.shown import shown
from feedstore.storage.transaction import AUTOCOMMIT, Pending, Transaction

if TYPE_CHECKING:
    from feedstore.storage.backend import Backend
    from feedstore.storage.batch import Batch

_Result = TypeVar("_Result")


class Writer(ABC):
    """A storage of one backend, whose checked writes are committed immediately or join a batch."""

    backend: Backend
    _batch: Batch | None = None

    def bound_to(self, batch: Batch) -> Self:
        """Return a storage of the same data whose writes all join ``batch``."""
        bound = copy.copy(self)
        bound._batch = batch
        return bound

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend={self.backend!r})"

    def _batch_to_join(self, batch_interface: Batch | None) -> Batch | None:
        """Return the batch that a call was given, else the one that the storage is bound to, if any."""
        if batch_interface is None:
            return self._batch
        if not hasattr(batch_interface, "enqueue"):
            raise InvalidTypeError(
                f"batch_interface is what backend.batch() or get_batch_interface() gives, not {shown(batch_interface)}"
            )
        return batch_interface

    def flush(self, *, batch_interface: Batch | None = None) -> None:
        """Remove everything that this kind of storage holds in its namespace, and nothing else (rule T15).

        An empty one is no error. Costs in proportion to what the namespace holds, never to what the store holds. A
        server that fails midway may leave a part; flush again.
        """
        self._write(batch_interface, self._flush)

    @abstractmethod
    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Remove everything of this storage's kind in its namespace."""

    def _write(
        self,
        batch_interface: Batch | None,
        write: Callable[[Transaction], Pending[_Result]],
        report: Callable[[], None] | None = None,
        keys: Sequence[str] = (),
        creates: bool = False,
        timer: Callable[[], AbstractContextManager[Any] | None] | None = None,
    ) -> _Result | None:
        """Call ``write`` now and return its result, or add it to the batch and return None.

        Args:
            batch_interface: the batch to join; None commits the write immediately.
            write: calls a hook with checked arguments and the transaction that it is given.
            report: is called once the write has been committed, and never if it was not.
            keys: the timelines that the write changes. A store may lock them before the first write of a batch.
            creates: whether the write creates those of the timelines that are missing.
            timer: returns a context manager that is open while an immediate write is committed, or None.
        """
        batch = self._batch if batch_interface is None else self._batch_to_join(batch_interface)
        if batch is not None:
            batch.enqueue(self, write, report, keys, creates)
            return None
        opened = None if timer is None else timer()
        if opened is None:
            result = write(AUTOCOMMIT).result
        else:
            with opened:
                result = write(AUTOCOMMIT).result
        if report is not None:
            report()
        return result

    def _write_nothing(self, transaction: Transaction) -> Pending[int | None]:
        """Stand for a write of no items, so that hooks never see one."""
        self.backend.check_open()
        return Pending(0)
