"""Exceptions that a signal handler raises at any moment: Ctrl-C, or the soft time limit of a task."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import soak
from feedstore import connect
from feedstore.errors import StorageError
from feedstore.storage import Backend
from feedstore.testing.delivery_suite import GroupSerializer, by
from stores import fresh_namespace

_KEYS = [f"key{number}" for number in range(6)]
_OURS = re.compile(r"/feedstore/|/redis/(connection|_parsers/\w+|retry|client)\.py$")
_PROGRAM = Path(__file__).with_name("interrupted.py")


class Interrupt(Exception):
    """The exception that the handler raises."""


class InterruptAt:
    """Raises once, where Python runs signal handlers: at the start of a function, or after one has returned.

    Only functions of feedstore and redis-py count: a connection reads the version of its package from a file.
    """

    def __init__(self, moment: int) -> None:
        self.has_happened = False
        self._left = moment

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "c_call" or self.has_happened or not _OURS.search(frame.f_code.co_filename):
            return
        self._left -= 1
        if self._left < 0:
            self.has_happened = True
            raise Interrupt

    def outcome(self, call: Callable[[], Any]) -> Any:
        """Return the result of an interrupted call, or None if it raises."""
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            return call()
        except (Interrupt, StorageError):
            # The driver turns an interrupt of its connecting into an error of its own. The exception ends here:
            # it holds the frames of the call, and they hold the connection.
            return None
        finally:
            sys.setprofile(before)


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
def narrow(request: pytest.FixtureRequest) -> Callable[[], Backend]:
    """A function that opens a backend with one connection, for which no thread waits for long."""
    url, namespace = request.getfixturevalue(request.param), fresh_namespace()
    with connect(url, namespace=namespace) as backend:
        backend.timeline_storage().add_to_many(_KEYS, [1, 2, 3])
        backend.timeline_storage(serializer_class=GroupSerializer).add_many("groups", by("ann", 1, 2))
    return lambda: connect(url, namespace=namespace, max_connections=1, timeout=5, retry_seconds=0)


def _read(backend: Backend) -> Any:
    return {key: [one.serialization_id for one in backend.timeline_storage().get_slice(key, 0, 9)] for key in _KEYS[:2]}


def _read_many(backend: Backend) -> Any:
    return {key: len(found) for key, found in backend.timeline_storage().get_many_slices(_KEYS, 0, 9).items()}


def _read_columns(backend: Backend) -> Any:
    columns = backend.timeline_storage(serializer_class=GroupSerializer).get_columns("groups", 9)
    return list(columns.ids), columns.payloads


def _write(backend: Backend) -> Any:
    backend.kv_storage().upsert("item", 1)
    return backend.timeline_storage().add_to_many(_KEYS, [3])


# Python closes the socket of an interrupted connect when it drops it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.soak
@pytest.mark.parametrize("is_connected", [True, False])
@pytest.mark.parametrize("call", [_read, _read_many, _read_columns, _write])
def test_an_interrupt_at_any_moment_loses_no_connection_and_mixes_no_answers(
    narrow: Callable[[], Backend], call: Callable[[Backend], Any], is_connected: bool
) -> None:
    with narrow() as backend:
        expected = call(backend)
    backend = narrow()
    step = soak.count(19 if is_connected else 197, 1)
    for moment in itertools.count(0, step):
        if not is_connected:
            backend.close()
            backend = narrow()
        interrupt = InterruptAt(moment)
        found = interrupt.outcome(partial(call, backend))
        # The one connection that there may be is free again, and gives the answers of this request.
        assert call(backend) == expected
        if not interrupt.has_happened:
            assert found == expected
            break
    backend.close()


@pytest.mark.soak
def test_signals_at_random_moments(redis_url: str) -> None:
    # Without hiredis, which itself crashes the process when a handler raises while it parses.
    command = [sys.executable, str(_PROGRAM), redis_url, fresh_namespace(), str(soak.count(500, 100_000))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=soak.count(60, 600), check=False)
    assert (ended.returncode, ended.stdout) == (0, "sound\n"), ended.stdout + ended.stderr[-2000:]
