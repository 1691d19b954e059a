"""Every backend against the model: values and exception types compared."""

from __future__ import annotations

import pytest

import soak
from feedstore.testing import OpenBackend
from feedstore.testing.oracle import run_oracle

EXAMPLES = {"memory": 10, "sqlite": 5, "postgresql": 4, "redis": 4, "redis_cluster": 3, "cassandra": 2}


@pytest.mark.soak
def test_a_backend_does_what_the_model_does(open_backend: OpenBackend, backend_kind: str) -> None:
    examples = soak.count(EXAMPLES.get(backend_kind, 4), 300 * EXAMPLES.get(backend_kind, 4))
    run_oracle(open_backend, examples, steps=soak.count(30, 60), deterministic=not soak.SOAK)
