"""Every backend against the model: values and exception types compared."""

from __future__ import annotations

import pytest

import soak
from feedstore.testing import OpenBackend
from feedstore.testing.oracle import run_oracle

EXAMPLES = {"memory": 25, "sqlite": 12, "postgresql": 10, "redis": 10, "redis_cluster": 6, "cassandra": 5}


@pytest.mark.soak
def test_a_backend_does_what_the_model_does(open_backend: OpenBackend, backend_kind: str) -> None:
    examples = soak.count(EXAMPLES.get(backend_kind, 10), 120 * EXAMPLES.get(backend_kind, 10))
    run_oracle(open_backend, examples, steps=soak.count(30, 60), deterministic=not soak.SOAK)
