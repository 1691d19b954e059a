"""The contract of event stores on every kind of backend, and on one without abilities."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.modest_backend import ModestBackend
from feedstore.testing import EventArgumentSuite, EventStoreSuite, OpenBackend
from stores import fresh_namespace


class TestEventStores(EventStoreSuite):
    pass


class TestModestStore(EventStoreSuite):
    @pytest.fixture
    def open_backend(self) -> Iterator[OpenBackend]:
        with ModestBackend() as first:
            yield lambda namespace=None: first.with_namespace(namespace or fresh_namespace())


@pytest.mark.parametrize("backend_kind", ["memory"])
class TestEventArguments(EventArgumentSuite):
    pass
