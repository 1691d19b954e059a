"""The contract of pubsub caches, on the stores with documents, and the refusals of arguments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from feedstore import connect
from feedstore.errors import InvalidTypeError, InvalidValueError, PubsubClosedError, UnsupportedError
from feedstore.pubsub import PubsubCache, RsmRequest
from feedstore.pubsub.memory_service import MemoryPubsubServer
from feedstore.testing import OpenBackend, PubsubCacheContract


@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql"])
class TestPubsubCaches(PubsubCacheContract):
    @pytest.fixture
    def open_backend(self, shared_backend: OpenBackend) -> OpenBackend:
        return shared_backend


@pytest.mark.parametrize("backend_kind", ["sqlite"])
def test_refused_arguments(shared_backend: OpenBackend) -> None:
    backend, service = shared_backend(), MemoryPubsubServer().service("ann")
    refused: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"max_items": 0}, InvalidValueError),
        ({"max_items": "many"}, InvalidValueError),
        ({"threads": 0}, InvalidValueError),
        ({"parser_seconds": 0}, InvalidValueError),
        ({"sync_deadline": 3600}, InvalidTypeError),
        ({"refresh_after": timedelta(0)}, InvalidValueError),
        ({"dead_after": timedelta(seconds=-1)}, InvalidValueError),
    ]
    for options, error in refused:
        with pytest.raises(error, match=next(iter(options))):
            PubsubCache(service, backend, **options)
    with pytest.raises(InvalidTypeError, match="PubsubService"):
        PubsubCache("ann", backend)  # type: ignore[arg-type]
    cache = PubsubCache(service, backend)
    for request in (
        {"max_items": 3, "item_ids": ["i1"]},
        {"max_items": 3, "rsm": RsmRequest(max=3)},
        {"order_by": "size"},
        {"max_items": -1},
    ):
        with pytest.raises(InvalidValueError):
            cache.get_items("blog", **request)
    cache.close()
    cache.close()
    assert not service.closed
    with pytest.raises(PubsubClosedError):
        cache.get_items("blog")
    service.close()


def test_other_stores_are_refused_by_name() -> None:
    with connect("memory://") as backend, pytest.raises(UnsupportedError, match="MemoryBackend"):
        PubsubCache(MemoryPubsubServer().service("ann"), backend)
