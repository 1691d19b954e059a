"""Each of many broken backends fails the contract, so that passing it means something."""

from __future__ import annotations

import re
from typing import Any

import pytest

from conformance import mutants
from conformance.delivery_mutants import DELIVERIES
from conformance.direct import cases, first_failure
from conformance.mutants import BACKENDS, STORAGES, Broken, backend_with
from conformance.queue_mutants import NOTIFIERS, QUEUES
from conformance.timeline_mutants import MUTANTS, HydratesFromItsOwnBackend, KeysAreCut, LosesConcurrentAdds
from feedstore.backends.memory.activity import InMemoryActivityStorage
from feedstore.testing import (
    ActivityContract,
    BackendContract,
    KvContract,
    NotifyContract,
    QueueContract,
    Suite,
    TimelineContract,
)
from feedstore.testing.activity_suite import ActivitySuite
from feedstore.testing.backend_suite import BackendSuite
from feedstore.testing.batch_suite import BatchArgumentSuite, BatchSuite
from feedstore.testing.collection_suite import CollectionArgumentSuite
from feedstore.testing.concurrency_suite import ThreadSuite
from feedstore.testing.hydrate_suite import HydrateArgumentSuite, HydrateSuite
from feedstore.testing.key_suite import KeySuite
from feedstore.testing.serializer_suite import SerializerSuite
from feedstore.testing.storage_suite import MetricsSuite
from feedstore.testing.waiting import patience

# Where to look first: a part of the contract is run sooner than all of it.
FIRST: dict[type[Any], type[Suite]] = {
    **dict.fromkeys((*MUTANTS, *DELIVERIES), TimelineContract),
    **{each: ActivityContract if issubclass(each, InMemoryActivityStorage) else KvContract for each in STORAGES},
    **dict.fromkeys(QUEUES, QueueContract),
    **dict.fromkeys(NOTIFIERS, NotifyContract),
    **dict.fromkeys(BACKENDS, BackendSuite),
    **dict.fromkeys((mutants.SendsAtOnce, mutants.SendsByStorage, mutants.SendsAfterAnException), BatchSuite),
    mutants.KeepsWhatAFailedBatchWrote: KvContract,
    mutants.DamageReadsAsAbsent: SerializerSuite,
    mutants.CountsReadsTwice: MetricsSuite,
    mutants.TakesAnyBatch: BatchArgumentSuite,
    KeysAreCut: KeySuite,
    HydratesFromItsOwnBackend: HydrateArgumentSuite,
    mutants.CollectionsShareTheirData: CollectionArgumentSuite,
    mutants.AddsOneByOne: BatchSuite,
    mutants.SendsWithoutTheLock: ThreadSuite,
    LosesConcurrentAdds: ThreadSuite,
}
CITATION = re.compile(
    r"(?:[TKQND]\d+(?: for \w+)?|Decision \d+|Abilities|Close|Dummy|Face|Factories|Floor|Graph|Manager|"
    r"Metrics|Ping|Threads)[:,] "
)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite finds a broken notifier by waiting. In memory, all notifications are immediate."""
    monkeypatch.setattr(patience, "seconds", 1.0)


def test_what_is_not_broken_passes() -> None:
    assert first_failure(BackendContract, Broken) is None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mutant", [*MUTANTS, *DELIVERIES, *STORAGES, *QUEUES], ids=lambda mutant: mutant.__name__)
def test_a_broken_storage_fails(mutant: type[Any]) -> None:
    backend = backend_with(mutant)
    assert first_failure(FIRST.get(mutant, BackendContract), backend) or first_failure(BackendContract, backend)


@pytest.mark.usefixtures("impatient")
# One of them dies of an exception in its thread, which is its defect.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("mutant", [*BACKENDS, *NOTIFIERS], ids=lambda mutant: mutant.__name__)
def test_a_broken_backend_fails(mutant: type[Broken]) -> None:
    assert first_failure(FIRST.get(mutant, BackendContract), mutant) or first_failure(BackendContract, mutant)


def test_a_shared_object_is_noticed_by_its_changes() -> None:
    backend = backend_with(mutants.HandsOutWhatItStores)
    assert first_failure(ActivitySuite, backend) == "test_activity_what_comes_back_is_not_what_is_stored"
    assert first_failure(HydrateSuite, backend) == "test_hydrated_what_comes_back_is_not_what_is_stored"


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
