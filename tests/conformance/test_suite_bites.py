"""Each of many broken backends fails the contract, so that passing it means something."""

from __future__ import annotations

import re
from typing import Any

import pytest

from conformance.direct import cases, first_failure
from conformance.mutants import BACKENDS, STORAGES, Broken, SendsWithoutTheLock, backend_with
from conformance.timeline_mutants import MUTANTS, LosesConcurrentAdds
from feedstore.testing import BackendContract, Suite, TimelineContract
from feedstore.testing.concurrency_suite import ThreadSuite

# Where to look first: a part of the contract is run sooner than all of it.
FIRST: dict[type[Any], type[Suite]] = {
    **dict.fromkeys(MUTANTS, TimelineContract),
    LosesConcurrentAdds: ThreadSuite,
    SendsWithoutTheLock: ThreadSuite,
}
CITATION = re.compile(
    r"(?:[TKQN]\d+(?: for \w+)?|Decision \d+|Abilities|Close|Dummy|Face|Factories|Floor|Metrics|Ping|Threads)[:,] "
)


def test_what_is_not_broken_passes() -> None:
    assert first_failure(BackendContract, Broken) is None


@pytest.mark.parametrize("mutant", [*MUTANTS, *STORAGES], ids=lambda mutant: mutant.__name__)
def test_a_broken_storage_fails(mutant: type[Any]) -> None:
    backend = backend_with(mutant)
    assert first_failure(FIRST.get(mutant, BackendContract), backend) or first_failure(BackendContract, backend)


@pytest.mark.parametrize("mutant", BACKENDS, ids=lambda mutant: mutant.__name__)
def test_a_broken_backend_fails(mutant: type[Broken]) -> None:
    assert first_failure(FIRST.get(mutant, BackendContract), mutant) or first_failure(BackendContract, mutant)


def test_every_test_of_the_contract_is_run() -> None:
    inherited = [name for base in BackendContract.__mro__ for name in vars(base) if name.startswith("test_")]
    assert len(inherited) == len(set(inherited)), "two suites share a test's name, so one hides the other"
    assert {name for name, _, _ in cases(BackendContract)} == set(inherited)
    assert len(inherited) > 180


def test_every_test_cites_what_it_checks() -> None:
    for suite in BackendContract.__mro__:
        if issubclass(suite, Suite):
            for name, test in vars(suite).items():
                if name.startswith("test_"):
                    assert CITATION.match(str(test.__doc__)), name
