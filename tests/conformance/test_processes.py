"""Processes that know no more than a store's URL."""

from __future__ import annotations

from functools import partial

import pytest

from feedstore import Activity, connect
from feedstore.testing import OpenBackend
from feedstore.testing.processes import Child
from feedstore.testing.samples import ids_of

EACH = 30


def write(url: str, namespace: str, first: int) -> None:
    """Write batches; for a child process, which connects for itself."""
    with connect(url, namespace=namespace) as backend:
        for number in range(first, first + EACH):
            activity = Activity("ann", "like", number, id=number)
            with backend.batch(atomic=True) as batch:
                backend.activity_storage().add(activity, batch_interface=batch)
                timelines = backend.timeline_storage()
                timelines.add_to_many(["key", "other"], [activity], max_length=40, batch_interface=batch)
                backend.kv_storage().upsert(f"{number:04}", number, batch_interface=batch)


@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql"])
def test_processes_that_write_at_once_lose_nothing(open_backend: OpenBackend, store_url: str) -> None:
    backend = open_backend()
    writers = [Child(partial(write, store_url, backend.namespace, first)) for first in (0, EACH, 2 * EACH)]
    for writer in writers:
        writer.result(60)
    everything = list(range(3 * EACH))
    assert ids_of(backend.activity_storage().iterate()) == everything
    assert list(backend.kv_storage().fetch_all()) == everything
    for key in ("key", "other"):
        page = backend.timeline_storage().get_page(key, 100)
        assert ids_of(page.items) == everything[:-41:-1]
        assert page.floor == 3 * EACH - 40
