"""Every backend against the model: values and exception types compared."""

from __future__ import annotations

import pytest

import soak
from feedstore.testing import OpenBackend
from feedstore.testing.oracle import run_oracle

EXAMPLES = {"memory": 15, "sqlite": 8, "postgresql": 6, "redis": 6, "redis_cluster": 4, "cassandra": 3}


@pytest.mark.soak
def test_a_backend_does_what_the_model_does(open_backend: OpenBackend, backend_kind: str) -> None:
    examples = soak.count(EXAMPLES.get(backend_kind, 6), 200 * EXAMPLES.get(backend_kind, 6))
    run_oracle(open_backend, examples, steps=soak.count(30, 60), deterministic=not soak.SOAK)
