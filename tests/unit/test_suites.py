"""What the shipped suites are made of."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from feedstore.backends.memory import MemoryBackend
from feedstore.storage import ActivityStorage, Backend, KvStorage, TimelineStorage
from feedstore.testing.calls import ACTIVITY_CALLS, KV_CALLS, TIMELINE_CALLS, WRITES, Calls, call
from feedstore.testing.processes import Child, ChildError, run_in_child, run_in_threads

HOOKS = {"add_to_storage", "get_from_storage", "remove_from_storage", "get_slice_from_storage", "get_index_of"}
WITHOUT_THE_STORE = {
    "bound_to",
    "serialize_activity",
    "serialize_activities",
    "deserialize_activities",
    "activity_to_id",
    "activities_to_ids",
    "get_batch_interface",
}


@pytest.mark.parametrize(
    ("kind", "table"),
    [(ActivityStorage, ACTIVITY_CALLS), (TimelineStorage, TIMELINE_CALLS), (KvStorage, KV_CALLS)],
)
def test_the_tables_name_every_public_call(kind: type[Any], table: Calls) -> None:
    public = {name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}
    classes = {name for name in public if isinstance(getattr(kind, name), type)}
    assert set(table) == public - classes - HOOKS - WITHOUT_THE_STORE


def test_the_tables_hold_calls_that_work() -> None:
    with MemoryBackend() as backend:
        tables = (
            (backend.activity_storage(), ACTIVITY_CALLS),
            (backend.timeline_storage(), TIMELINE_CALLS),
            (backend.kv_storage(), KV_CALLS),
        )
        for storage, table in tables:
            for name, arguments in table.items():
                call(storage, name, arguments)
                if name in WRITES:
                    with backend.batch() as batch:
                        assert call(storage, name, arguments, batch_interface=batch) is None


def test_importing_the_suites_needs_pytest_alone() -> None:
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from feedstore.testing import BackendContract\n"
        "assert 'sqlalchemy' not in sys.modules and 'psycopg' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_assertions_of_the_suites_explain_themselves() -> None:
    from feedstore.testing import activity_suite

    assert "@pytest_ar" in vars(activity_suite)


def test_a_child_hands_back_what_it_returns() -> None:
    assert run_in_child(lambda: {"list": [1, None], "backend": Backend}) == {"list": [1, None], "backend": Backend}
    assert len(run_in_child(lambda: b"x" * 10**6)) == 10**6


def test_a_child_that_fails_shows_its_traceback() -> None:
    with pytest.raises(ChildError, match=r"(?s)status.*ZeroDivisionError"):
        run_in_child(lambda: 1 // 0)
    with pytest.raises(ChildError, match=r"(?s)status.*pickle"):
        run_in_child(lambda: lambda: None)


def test_a_child_that_does_not_end_is_ended() -> None:
    reader, writer = os.pipe()
    child = Child(lambda: os.read(reader, 1))
    with pytest.raises(ChildError, match="did not end"):
        child.result(seconds=0.2)
    os.close(reader)
    os.close(writer)


def test_threads_hand_back_what_they_return_and_raise() -> None:
    assert run_in_threads([lambda: 1, lambda: 2]) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        run_in_threads([lambda: 1, lambda: 1 // 0])
