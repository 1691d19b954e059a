"""Callbacks that are told when something happened."""

from __future__ import annotations

import threading
from collections.abc import Callable

Callback = Callable[[], object]


class Signal:
    """A list of callbacks. Safe to share between threads; a callback must not block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callback] = {}

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call ``callback`` at each :meth:`send` from now on; return what ends that. Ending it twice is no error."""
        token = object()
        with self._lock:
            self._callbacks[token] = callback
        return lambda: self._unsubscribe(token)

    def send(self) -> None:
        """Call every callback, outside the lock."""
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            callback()

    def _unsubscribe(self, token: object) -> None:
        with self._lock:
            self._callbacks.pop(token, None)
