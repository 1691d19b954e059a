"""The oracle finds broken backends, and accepts correct ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.modest_backend import ModestBackend
from conformance.mutants import SendsAfterAnException, SendsAtOnce, SendsByStorage, UnknownIdsRaise, backend_with
from conformance.timeline_mutants import MUTANTS, LosesConcurrentAdds
from feedstore.storage import Backend
from feedstore.testing import OpenBackend
from feedstore.testing.oracle import run_oracle
from stores import fresh_namespace

# The oracle makes one call at a time.
ALONE = [mutant for mutant in MUTANTS if mutant is not LosesConcurrentAdds]


@pytest.mark.parametrize(
    "make_backend",
    [*map(backend_with, ALONE), backend_with(UnknownIdsRaise), SendsAtOnce, SendsAfterAnException, SendsByStorage],
    ids=lambda kind: kind.__name__,
)
def test_a_broken_backend_is_found(make_backend: Callable[[], Backend]) -> None:
    # Broken backends fail in many ways.
    with make_backend() as first, pytest.raises(Exception):  # noqa: PT011, B017
        run_oracle(opener(first), examples=400, shrink=False)


def test_a_backend_without_abilities_is_sound() -> None:
    with ModestBackend() as first:
        run_oracle(opener(first), examples=20)


def opener(first: Backend) -> OpenBackend:
    """Return the value of the fixture ``open_backend`` on a store."""

    def open_backend(namespace: str | None = None) -> Any:
        return first.with_namespace(fresh_namespace() if namespace is None else namespace)

    return open_backend
