"""Killing a loader at any moment: it resumes to the end that an undisturbed run reaches."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

import soak
from feedstore import connect
from ingest.deeds import activities_csv, follows_csv
from ingest.loading import MAX_LENGTH, LoaderProcess
from ingest.stored import Stored, settle, stored_in
from stores import fresh_namespace

ROWS = soak.count(300, 700)
MOST_CHUNKS_BEFORE_A_KILL = 12
START_UP_SECONDS = 0.1
CHUNK_SECONDS = 0.01


class Ingestion:
    """One input on its way into one namespace, by as many processes as it takes."""

    def __init__(self, inputs: list[str], url: str) -> None:
        self._inputs = inputs
        self._url = url
        self._namespace = fresh_namespace()

    def start(self) -> LoaderProcess:
        """Begin or resume in a new process."""
        return LoaderProcess(self._url, self._namespace, self._inputs)

    def finish(self, loaders: int = 1) -> Stored:
        """Begin or resume a run in so many processes, ingest to the end, and return the stored data."""
        for process in [self.start() for _ in range(loaders)]:
            process.finish()
        with connect(self._url, namespace=self._namespace) as backend:
            settle(backend, MAX_LENGTH)
            return stored_in(backend)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The paths of the activities and of the follows."""
    folder = tmp_path_factory.mktemp("inputs")
    paths = folder / "activities.csv", folder / "follows.csv"
    paths[0].write_text(activities_csv(ROWS, late=0.05))
    paths[1].write_text(follows_csv())
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def undisturbed(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """The stored data after an undisturbed run, which the tests compare with their own and do not change."""
    return Ingestion(inputs, f"sqlite:///{tmp_path_factory.mktemp('undisturbed') / 'feeds.db'}").finish()


@pytest.mark.soak
def test_killed_at_random_moments_a_run_ends_as_if_undisturbed(
    tmp_path: Path, inputs: list[str], undisturbed: Stored
) -> None:
    files = (f"sqlite:///{tmp_path / f'killed-{number}.db'}" for number in count())
    # A new file each time: some of the kills come while it is being made.
    _kill(soak.count(4, 200), (Ingestion(inputs, url) for url in files), undisturbed, 1)


@pytest.mark.soak
@pytest.mark.parametrize("store", ["postgresql_database", "redis_url", "redis_cluster_url", "cassandra_url"])
def test_killed_while_it_writes_to_a_server_a_run_is_ended_by_two_as_if_undisturbed(
    store: str, inputs: list[str], undisturbed: Stored, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(store)
    _kill(soak.count(2, 50), (Ingestion(inputs, url) for _ in count()), undisturbed, 2)


def _kill(kills: int, ingestions: Iterator[Ingestion], undisturbed: Stored, loaders: int) -> None:
    """Kill so many processes at random moments, and let so many loaders bring each ingestion to its end then."""
    chance = random.Random(20260831)
    while kills > 0:
        ingestion = next(ingestions)
        while kills > 0 and _kill_at_a_random_moment(ingestion.start(), chance):
            kills -= 1
        assert ingestion.finish(loaders) == undisturbed


def _kill_at_a_random_moment(process: LoaderProcess, chance: random.Random) -> bool:
    """Kill a process while it starts or after a number of chunks. Return False if it had ended."""
    if chance.random() < 0.25:
        _spin(chance.uniform(0, START_UP_SECONDS))
    else:
        process.wait_for_chunks(chance.randint(1, MOST_CHUNKS_BEFORE_A_KILL))
        _spin(chance.uniform(0, CHUNK_SECONDS))
    return process.kill()


def _spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


@pytest.mark.soak
# On servers, two loaders end each run that was killed, above.
@pytest.mark.parametrize(
    "store", ["sqlite_url", *soak.further("postgresql_url", "redis_url", "redis_cluster_url", "cassandra_url")]
)
def test_two_loaders_of_one_file_at_once_do_no_harm(
    store: str, inputs: list[str], undisturbed: Stored, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(store)
    for _ in range(soak.count(1, 10)):
        assert Ingestion(inputs, url).finish(loaders=2) == undisturbed
