"""What every storage is: bound to a backend, with writes that can join a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from feedstore.errors import InvalidTypeError
from feedstore.shown import shown

if TYPE_CHECKING:
    from feedstore.storage.backend import Backend
    from feedstore.storage.batch import Batch


class Writer(ABC):
    """A storage of one backend, whose checked writes run at once or join a batch."""

    backend: Backend

    def flush(self, *, batch_interface: Batch | None = None) -> None:
        """Remove everything that this kind of storage holds in its namespace, and nothing else (rule T15).

        An empty one is no error. Costs in proportion to what the namespace holds, never to what the store holds. A
        server that fails midway may leave a part; flush again.
        """
        self._write(batch_interface, self._flush)

    @abstractmethod
    def _flush(self) -> None:
        """Remove everything of this storage's kind in its namespace."""

    def _write(self, batch_interface: Batch | None, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Run ``hook`` with checked arguments and return its result, or queue it in the batch and return None."""
        if batch_interface is None:
            return hook(*arguments)
        if not hasattr(batch_interface, "enqueue"):
            raise InvalidTypeError(
                f"batch_interface is what backend.batch() or get_batch_interface() gives, not {shown(batch_interface)}"
            )
        batch_interface.enqueue(self, hook, arguments)
        return None

    def _write_items(
        self, batch_interface: Batch | None, items: Collection[Any], hook: Callable[..., Any], *arguments: Any
    ) -> int | None:
        """:meth:`_write` for a write of ``items``. Of none it counts 0: hooks never see an empty write."""
        if not items:
            hook, arguments = self._write_nothing, ()
        result: int | None = self._write(batch_interface, hook, *arguments)
        return result

    def _write_nothing(self) -> int:
        self.backend.check_open()
        return 0
