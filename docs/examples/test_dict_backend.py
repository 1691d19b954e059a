"""The example backend keeps the whole contract."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from dict_backend import DictBackend

from feedstore.testing import BackendContract, OpenBackend
from feedstore.testing.oracle import run_oracle


class TestDictBackend(BackendContract):
    """The shipped suites, on one store in dictionaries."""

    @pytest.fixture
    def open_backend(self) -> Iterator[OpenBackend]:
        """A callable that opens backends on one shared store, under a fresh namespace if none is given."""
        with DictBackend() as first:
            yield lambda namespace=None: first.with_namespace(namespace or f"test-{uuid.uuid4().hex}")

    def test_the_oracle(self, open_backend: OpenBackend) -> None:
        """Random sequences of operations, compared with a model."""
        run_oracle(open_backend)
