"""The backend table: the promises of the fixtures, on each kind."""

from __future__ import annotations

from feedstore.storage import Backend
from stores import OpenBackend


def test_backends_of_one_test_share_a_store_and_fresh_ones_have_an_empty_namespace(open_backend: OpenBackend) -> None:
    first, second = open_backend(), open_backend()
    again = open_backend(first.namespace)
    first.kv_storage().upsert("key", 7)
    assert again.kv_storage().fetch_one("key") == 7
    assert list(second.kv_storage().items()) == []


def test_the_url_leads_to_the_store(backend: Backend, store_url: str | None) -> None:
    assert (store_url is None) == (type(backend).__name__ == "MemoryBackend")
