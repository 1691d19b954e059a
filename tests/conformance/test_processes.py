"""Processes that know no more than a store's URL."""

from __future__ import annotations

import subprocess
import sys

import pytest

from feedstore.testing import OpenBackend
from feedstore.testing.samples import ids_of

EACH = 30
WRITER = """
import sys
from feedstore import Activity, connect

url, namespace, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
with connect(url, namespace=namespace) as backend:
    for number in range(first, first + count):
        activity = Activity("ann", "like", number, id=number)
        with backend.batch(atomic=True) as batch:
            backend.activity_storage().add(activity, batch_interface=batch)
            backend.timeline_storage().add_to_many(["key", "other"], [activity], max_length=40, batch_interface=batch)
            backend.kv_storage().upsert(f"{number:04}", number, batch_interface=batch)
"""


@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql"])
def test_processes_that_write_at_once_lose_nothing(open_backend: OpenBackend, store_url: str) -> None:
    backend = open_backend()
    command = [sys.executable, "-c", WRITER, store_url, backend.namespace]
    writers = [subprocess.Popen([*command, str(first), str(EACH)]) for first in (0, EACH, 2 * EACH)]
    try:
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    finally:
        for writer in writers:
            writer.kill()
    everything = list(range(3 * EACH))
    assert ids_of(backend.activity_storage().iterate()) == everything
    assert list(backend.kv_storage().fetch_all()) == everything
    for key in ("key", "other"):
        page = backend.timeline_storage().get_page(key, 100)
        assert ids_of(page.items) == everything[:-41:-1]
        assert page.floor == 3 * EACH - 40
