"""The threads that carry out the driver's background tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

_Result = TypeVar("_Result")


class BackgroundExecutor(Executor):
    """An executor whose threads do not keep their process from ending.

    The driver reconnects and reads schemas with a ``ThreadPoolExecutor``. When Python exits, it joins the threads of
    all such executors before it calls the driver's exit function. A worker that uWSGI forks without Python's hooks
    waits forever for the threads of its parent, and a task of the driver's that becomes due at the exit is refused with
    a traceback. Python does not wait for the daemon threads of this class; the driver's exit function ends them.
    """

    def __init__(self, most_threads: int) -> None:
        self._most_threads = most_threads
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_shut_down = False
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., _Result], /, *arguments: Any, **named: Any) -> Future[_Result]:
        """Call ``function`` in a thread, and return its future."""
        future: Future[_Result] = Future()
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("the executor was shut down, and takes no further task")
            if len(self._threads) < self._most_threads:
                thread = threading.Thread(target=_carry_out, args=(self._tasks,), name="feedstore-driver", daemon=True)
                # A system without free threads raises here: the task is not taken, and a shutdown joins no such thread.
                thread.start()
                self._threads.append(thread)
            self._tasks.put(_Task(future, function, arguments, named))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse further tasks; the threads end after the tasks that were submitted before."""
        with self._lock:
            if cancel_futures:
                self._cancel_waiting()
            if not self._is_shut_down:
                self._is_shut_down = True
                for _ in self._threads:
                    self._tasks.put(None)
        if wait:
            for thread in self._threads:
                if thread is not threading.current_thread():
                    thread.join()

    def _cancel_waiting(self) -> None:
        ends = 0
        with suppress(Empty):
            while True:
                task = self._tasks.get_nowait()
                if task is None:
                    ends += 1
                else:
                    task.future.cancel()
        for _ in range(ends):
            self._tasks.put(None)


class _Task(NamedTuple):
    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]


def _carry_out(tasks: SimpleQueue[_Task | None]) -> None:
    """Carry out tasks until None is taken from the queue."""
    while (task := tasks.get()) is not None:
        future = task.future
        if not future.set_running_or_notify_cancel():
            continue
        try:
            result = task.function(*task.arguments, **task.named)
        except BaseException as error:  # noqa: BLE001 - the future raises it
            future.set_exception(error)
        else:
            future.set_result(result)
        del task, future
