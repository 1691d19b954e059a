"""The structure of the shipped suites."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feedstore.backends.cassandra import CassandraBackend
from feedstore.backends.memory import MemoryBackend
from feedstore.backends.memory.timeline import InMemoryTimelineStorage
from feedstore.backends.redis import RedisBackend
from feedstore.backends.sql import SqlBackend
from feedstore.storage import ActivityStorage, Backend, KvStorage, QueueStorage, TimelineStorage
from feedstore.testing import StoreContract
from feedstore.testing.calls import (
    ACTIVITY_CALLS,
    CONDITIONAL_CALLS,
    KV_CALLS,
    TIMELINE_CALLS,
    WRITES,
    Calls,
    call,
)
from feedstore.testing.processes import Child, ChildError, run_in_child, run_in_threads

HOOKS = {"add_to_storage", "get_from_storage", "remove_from_storage", "get_index_of"}
ANCESTOR_S_READ = {"get_slice_from_storage"}
BACKEND_HOOKS = {"from_url", "make_source", "publish_topics", "newest_ids"}
BASES = (ActivityStorage, TimelineStorage, KvStorage, QueueStorage, Backend)
STORAGE_CLASSES = ("activity_storage_class", "timeline_storage_class", "kv_storage_class", "queue_storage_class")
TAKES_A_STORAGE = {"get_bodies"}
WITHOUT_THE_STORE = {
    "bound_to",
    "serialize_activity",
    "serialize_activities",
    "serialize_each",
    "deserialize_activities",
    "activity_to_id",
    "activities_to_ids",
    "get_batch_interface",
}


def test_no_suite_has_a_fixture_for_the_tests_of_the_others() -> None:
    """A contract is one class of all suites, so such a fixture would also skip the tests of the others."""
    suites = list(Path(inspect.getfile(StoreContract)).parent.glob("*_suite.py"))
    assert len(suites) > 20
    assert [path.name for path in suites if "autouse" in path.read_text()] == []


@pytest.mark.parametrize(
    ("kind", "table"),
    [(ActivityStorage, ACTIVITY_CALLS), (TimelineStorage, TIMELINE_CALLS), (KvStorage, KV_CALLS | CONDITIONAL_CALLS)],
)
def test_the_tables_name_every_public_call(kind: type[Any], table: Calls) -> None:
    public = {name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}
    classes = {name for name in public if isinstance(getattr(kind, name), type)}
    assert set(table) == public - classes - HOOKS - ANCESTOR_S_READ - TAKES_A_STORAGE - WITHOUT_THE_STORE


def overridden(kind: type[Any]) -> set[str]:
    """Return the public methods that a backend's class overrides, hooks excepted."""
    base = next(base for base in BASES if issubclass(kind, base))
    public = {name for name in dir(base) if not name.startswith("_") and callable(getattr(base, name))}
    return {
        name
        for name in public - HOOKS - BACKEND_HOOKS
        if not isinstance(getattr(base, name), type)
        and inspect.getattr_static(kind, name) is not inspect.getattr_static(base, name)
    }


def test_no_backend_overrides_a_public_method() -> None:
    """The storages refuse arguments before they call a hook, on every backend alike. So `ArgumentContract` is run on
    memory and on the example of "Writing a backend" alone.
    """
    backends: tuple[type[Backend], ...] = (MemoryBackend, SqlBackend, RedisBackend, CassandraBackend)
    storages = [kind for backend in backends for name in STORAGE_CLASSES if (kind := getattr(backend, name))]
    for kind in (*backends, *storages):
        assert overridden(kind) == set(), kind
    for base in BASES:
        assert sum(issubclass(kind, base) for kind in (*backends, *storages)) >= 3


def test_an_overridden_method_is_found() -> None:
    class Overriding(InMemoryTimelineStorage):
        def count(self, key: str, filter_kwargs: Any = None) -> int:
            return 0

    assert overridden(Overriding) == {"count"}


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
    assert Child(lambda: os.read(reader, 1)).kill() is True
    os.close(reader)
    os.close(writer)


def test_threads_hand_back_what_they_return_and_raise() -> None:
    assert run_in_threads([lambda: 1, lambda: 2]) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        run_in_threads([lambda: 1, lambda: 1 // 0])
