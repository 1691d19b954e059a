"""The contract on a backend without abilities: the suites branch on the declared abilities."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.modest_backend import ModestBackend
from feedstore.testing import OpenBackend, StoreContract
from stores import fresh_namespace


class TestModest(StoreContract):
    @pytest.fixture
    def open_backend(self) -> Iterator[OpenBackend]:
        with ModestBackend() as first:
            yield lambda namespace=None: first.with_namespace(namespace or fresh_namespace())
