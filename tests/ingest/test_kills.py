"""Killing a loader at any moment: it resumes to the end that an undisturbed run reaches."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import soak
from feedstore import connect
from ingest import loading
from ingest.deeds import activities_csv, follows_csv
from ingest.stored import Stored, stored_in

ROWS = 1200
MOST_CHUNKS_BEFORE_A_KILL = 12
START_UP_SECONDS = 0.5
CHUNK_SECONDS = 0.01
DEADLINE_SECONDS = 60


class Ingestion:
    """One input on its way into one SQLite file, by as many processes as it takes."""

    def __init__(self, folder: Path, name: str) -> None:
        self.url = f"sqlite:///{folder / name}.db"
        self._inputs = [folder / "activities.csv", folder / "follows.csv"]
        self._inputs[0].write_text(activities_csv(ROWS, late=0.05))
        self._inputs[1].write_text(follows_csv())

    def start(self) -> subprocess.Popen[str]:
        """Begin or resume in a new process."""
        command = [sys.executable, loading.__file__, self.url, *map(str, self._inputs)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self) -> Stored:
        """Begin or resume, go on to the end, and return what is stored then."""
        _finish(self.start())
        return self.stored()

    def stored(self) -> Stored:
        """What is stored now."""
        with connect(self.url) as backend:
            return stored_in(backend)


@pytest.mark.soak
def test_killed_at_random_moments_a_run_ends_as_if_undisturbed(tmp_path: Path) -> None:
    kills, chance = 0, random.Random(20260831)
    undisturbed = Ingestion(tmp_path, "undisturbed").finish()
    while kills < soak.count(20, 200):
        ingestion = Ingestion(tmp_path, f"killed-{kills}")
        while _kill_at_a_random_moment(ingestion.start(), chance):
            kills += 1
        assert ingestion.finish() == undisturbed


def _kill_at_a_random_moment(process: subprocess.Popen[str], chance: random.Random) -> bool:
    """Kill a process while it starts up or behind a number of chunks; return False if it had ended."""
    assert process.stdout is not None
    if chance.random() < 0.25:
        _wait_at_most(process, chance.uniform(0, START_UP_SECONDS))
    else:
        for _ in range(chance.randint(1, MOST_CHUNKS_BEFORE_A_KILL)):
            process.stdout.readline()
        _spin(chance.uniform(0, CHUNK_SECONDS))
    process.kill()
    _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode != 0


def _wait_at_most(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return


def _spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def _finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, errors


@pytest.mark.soak
def test_two_loaders_of_one_file_at_once_do_no_harm(tmp_path: Path) -> None:
    undisturbed = Ingestion(tmp_path, "undisturbed").finish()
    for number in range(soak.count(1, 10)):
        shared = Ingestion(tmp_path, f"shared-{number}")
        for process in [shared.start(), shared.start()]:
            _finish(process)
        # Each counts what is too old as it finds the store, which the other one fills too.
        assert _without_lateness(shared.stored()) == _without_lateness(undisturbed)


def _without_lateness(stored: Stored) -> Stored:
    return replace(stored, checkpoints=[replace(checkpoint, too_old=0) for checkpoint in stored.checkpoints])
