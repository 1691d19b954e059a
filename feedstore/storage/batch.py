"""A batch: writes of several storages of one backend, sent together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from feedstore.errors import InvalidValueError

if TYPE_CHECKING:
    from feedstore.storage.backend import Backend
    from feedstore.storage.notify import Notifier
    from feedstore.storage.writer import Writer


class Operation(NamedTuple):
    """One queued write: the storage, its bound hook, and the checked and serialized arguments."""

    storage: Writer
    hook: Callable[..., Any]
    arguments: tuple[Any, ...]

    def run(self) -> Any:
        """Carry the write out and return what it counted."""
        return self.hook(*self.arguments)


class Batch:
    """A context manager that queues writes and sends them, in their order, when it ends without an exception.

    Only calls that are given it as ``batch_interface=`` join. Each is checked and serialized at the call and returns
    None; ``results`` holds what they count, in order, once the batch has ended. Reads never see the queue. An
    exception inside sends nothing. An empty batch sends nothing. One batch is one ``with`` block of one thread;
    entering it again is an error.

    With ``atomic=True`` all writes happen or none, inside the backend's atomic scope
    (``backend.abilities.atomic_scope``); beyond it :class:`AtomicityError` is raised before anything is sent.
    """

    def __init__(self, backend: Backend, atomic: bool = False) -> None:
        self.backend = backend
        self.atomic = atomic
        self.results: list[Any] = []
        self._operations: list[Operation] = []
        self._announcements: dict[Notifier, dict[str, None]] = {}
        self._state = "new"

    def enqueue(self, storage: Writer, hook: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Queue a write of ``storage``. Raises :class:`InvalidValueError` for another backend's, or outside the
        block.
        """
        if self._state != "open":
            raise InvalidValueError(f"this batch is {self._state}; writes join it inside its own `with` block")
        if not self.backend.shares_batches_with(storage.backend):
            raise InvalidValueError(
                "the batch belongs to another backend or namespace than the storage it was given to"
            )
        self._operations.append(Operation(storage, hook, arguments))

    def announce_later(self, notifier: Notifier, keys: Iterable[str]) -> None:
        """Announce timelines once the batch has been carried out, all that one notifier tells of together."""
        self._announcements.setdefault(notifier, {}).update(dict.fromkeys(keys))

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
            self.results = self.backend.run_operations(operations, self.atomic)
            for notifier, keys in self._announcements.items():
                notifier.announce_stored(keys)
