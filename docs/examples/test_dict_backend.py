"""The example backend keeps the whole contract."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from dict_backend import DictBackend

from feedstore.testing import BackendContract, OpenBackend


class TestDictBackend(BackendContract):
    """The shipped suites, on one store in dictionaries."""

    @pytest.fixture
    def open_backend(self) -> Iterator[OpenBackend]:
        """A callable that opens backends on one shared store, under a fresh namespace if none is given."""
        with DictBackend() as first:
            yield lambda namespace=None: first.with_namespace(namespace or f"test-{uuid.uuid4().hex}")
