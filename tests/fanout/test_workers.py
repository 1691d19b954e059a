"""Workers as processes: kills in the middle of a fan-out, a graceful stop, and the commands for dead letters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

import soak
from cli.running import CommandLine
from feedstore import connect
from feedstore.fanout import FanoutPriority, FeedManager, Job, JobOperation, QueueExecutor
from feedstore.storage import Backend
from feedstore.testing.manager_suite import START, post
from polling import poll_until
from stores import fresh_namespace

CHUNK = soak.count(100, 500)
APPLICATION = f"""
import os
import signal

from feedstore import connect
from feedstore.fanout import FeedManager, QueueExecutor

DIES_AT = int(os.environ.get("DIES_AT", "-1"))


class Mortal(FeedManager):
    fanout_chunk_size = {CHUNK}

    def run_job(self, job, submit):
        super().run_job(job, submit)
        if job.step == DIES_AT:
            # The other threads are in the middle of their pages.
            os.kill(os.getpid(), signal.SIGKILL)


def manager():
    backend = connect(os.environ["STORE"], namespace=os.environ["NAMESPACE"])
    return Mortal(backend, executor=QueueExecutor(backend, visibility_timeout=1))
"""
_SECONDS = soak.count(60, 1800)


@pytest.fixture
def backend(redis_url: str) -> Iterator[Backend]:
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        yield backend


@pytest.fixture
def manager(backend: Backend) -> FeedManager:
    """The manager of the publisher, which runs no jobs."""
    executor = QueueExecutor(backend, visibility_timeout=1)
    return FeedManager(backend, executor=executor, fanout_chunk_size=CHUNK)


class Workers:
    """Processes of ``feedstore worker`` on an application in a folder."""

    def __init__(self, folder: Path, url: str, backend: Backend) -> None:
        folder.joinpath("feeds_application.py").write_text(APPLICATION, encoding="utf-8")
        self.folder = folder
        self.environment = {**os.environ, "STORE": url, "NAMESPACE": backend.namespace}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "feedstore", "worker", "feeds_application:manager", "--attempts", "1"]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def workers(tmp_path: Path, redis_url: str, backend: Backend) -> Workers:
    return Workers(tmp_path, redis_url, backend)


@pytest.mark.soak
def test_kills_in_the_middle_of_a_fan_out(manager: FeedManager, workers: Workers) -> None:
    count = soak.count(2_500, 1_000_000)
    manager._graph.import_follows((f"user:{number}", "ann", START) for number in range(count))
    deed = post(1)
    manager.add_user_activity("ann", deed)
    steps, executor = count // CHUNK, manager.executor
    assert isinstance(executor, QueueExecutor)
    for step in (steps // 2, *soak.further(1, steps // 3, steps // 2)):
        with workers.start(DIES_AT=str(step)) as dying:
            assert dying.wait(_SECONDS) == -signal.SIGKILL
    assert 0 < delivered(manager) < count
    with workers.start("--concurrency", "2") as last:
        poll_until(lambda: not any(executor.counts().values()), _SECONDS, "the end of all jobs")
        last.send_signal(signal.SIGTERM)
        output, _ = last.communicate(timeout=_SECONDS)
    assert output.endswith("; 0 dead letters\n"), output
    assert last.returncode == 0
    timelines = manager.backend.timeline_storage()
    numbers = iter(range(count))
    while some := list(islice(numbers, 10_000)):
        keys = [f"home:user%3A{number}" for number in some]
        assert list(timelines.get_many_slices(keys, 0, None).values()) == [[deed.reference]] * len(keys)
    assert delivered(manager) == count
    assert list(manager._progress.keys()) == []


def delivered(manager: FeedManager) -> int:
    return sum(1 for key in manager.backend.timeline_storage().keys() if key.startswith("home:"))  # noqa: SIM118


def test_dead_letters_on_the_command_line(
    manager: FeedManager, workers: Workers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feedstore = CommandLine(capsys)
    monkeypatch.chdir(workers.folder)
    for name in ("STORE", "NAMESPACE"):
        monkeypatch.setenv(name, workers.environment[name])
    # The import of the command line changes the path.
    monkeypatch.setattr(sys, "path", list(sys.path))
    jobs = ("jobs", "feeds_application:manager")
    for feed in ("normal", "gone", "lost"):
        job = Job(operation=JobOperation.ADD, manager="fanout", feeds=(feed,), users=("bob",), activities=(post(1).id,))
        manager.executor.submit(manager, job)
    manager.activities.add(post(1))
    assert feedstore(*jobs, "counts", "--json").json == {"high": 0, "normal": 3, "low": 0, "dead": 0}
    ran = feedstore("worker", "feeds_application:manager", "--until-empty", "--attempts", "1")
    assert (ran.status, ran.out.splitlines()[-1]) == (0, "ran 1 job; 2 dead letters")
    letters = feedstore(*jobs, "list", "--json").json
    assert [one["error"] for one in letters] == [
        f"InvalidValueError: '{one['job']['feeds'][0]}' names no feed class; the names are user, normal"
        for one in letters
    ]
    first, second = (one["key"] for one in letters)
    shown = feedstore(*jobs, "show", first).json
    assert (shown["key"], shown["attempts"]) == (first, 1)
    assert "names no feed class" in feedstore(*jobs, "list").out
    assert feedstore(*jobs, "replay", first).out == "replayed 1 dead letter\n"
    assert feedstore(*jobs, "drop", "--all", "--json").json == {"dropped": 1}
    assert isinstance(manager.executor, QueueExecutor)
    assert manager.executor.counts()[FanoutPriority.NORMAL] == 1
    refused = feedstore(*jobs, "drop", second)
    assert (refused.status, "there is no dead letter" in refused.err) == (3, True)
    assert "pass the keys of dead letters, or --all" in feedstore(*jobs, "replay").err


def test_a_letter_without_a_job_does_not_stop_the_replay_of_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect("memory://") as backend:
        executor = QueueExecutor(backend)
        manager = FeedManager(backend, executor=executor)
        monkeypatch.setitem(sys.modules, "feeds_in_memory", SimpleNamespace(manager=manager))
        good = Job(operation=JobOperation.ADD, manager="fanout", id="b").to_dict()
        for letter in ({"id": "a"}, good, {"id": "c"}):
            manager.dead_letters.add(letter, ValueError("poison"), 1)
        result = CommandLine(capsys)("jobs", "feeds_in_memory:manager", "replay", "--all")
        assert (result.status, result.out) == (1, "replayed 1 dead letter\n")
        assert [line.partition(" stays")[0] for line in result.err.splitlines()] == [
            "the dead letter 'a-0'",
            "the dead letter 'c-0'",
        ]
        assert executor.queues[FanoutPriority.NORMAL].pop() == good
        assert CommandLine(capsys)("jobs", "feeds_in_memory:manager", "replay", "a-0").status == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("feeds", "'feeds' names no FeedManager; name it as MODULE:NAME"),
        (".feeds:manager", "'.feeds:manager' names no FeedManager"),
        ("no_such_module:manager", "the module 'no_such_module' cannot be imported"),
        ("json:manager", "'json' has no 'manager'"),
        ("json:__name__", "is 'json', and no FeedManager"),
    ],
)
def test_a_command_refuses_a_name_that_is_no_manager(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = CommandLine(capsys)("jobs", name, "counts")
    assert (result.status, message in result.err) == (2, True), result.err
