"""Celery: a real worker, and a real Redis as its broker."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from celery import Celery
from celery.app.task import Context

from feedstore import connect
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.fanout import FanoutPriority, FeedManager, Job, JobOperation, Retries
from feedstore.fanout.celery_executor import CeleryExecutor
from feedstore.storage import Backend
from feedstore.testing.manager_suite import START, post
from polling import poll_until
from stores import fresh_namespace

CHUNK = 100
APPLICATION = f"""
import os
import signal

from celery import Celery
from feedstore import connect
from feedstore.fanout import FeedManager, Retries
from feedstore.fanout.celery_executor import CeleryExecutor

DIES_AT = int(os.environ.get("DIES_AT", "-1"))
app = Celery("application", broker=os.environ["BROKER"])
app.conf.broker_transport_options = {{
    "global_keyprefix": os.environ["NAMESPACE"],
    "visibility_timeout": 2,
    # By default a worker delivers the messages of a dead one again after up to 100 seconds.
    "unacked_restore_interval": 0.5,
    "unacked_restore_throttle": 1,
}}


class Mortal(FeedManager):
    fanout_chunk_size = {CHUNK}

    def run_job(self, job, submit):
        super().run_job(job, submit)
        if job.step == DIES_AT:
            # Like a machine that loses its power: the group holds the parent and the children.
            os.killpg(0, signal.SIGKILL)


backend = connect(os.environ["STORE"], namespace=os.environ["NAMESPACE"])
manager = Mortal(backend, executor=CeleryExecutor(app, retries=Retries(2, 0)))
"""


@pytest.fixture
def backend(redis_url: str) -> Iterator[Backend]:
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        yield backend


@contextmanager
def celery_worker(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker with two child processes, in a process group of its own."""
    queues = "feedstore-high,feedstore-normal,feedstore-low"
    command = [sys.executable, "-m", "celery", "-A", "celery_application", "worker", "-Q", queues, "-c", "2"]
    quick = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    with folder.joinpath("worker.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *quick], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def test_a_worker_that_dies_loses_nothing(tmp_path: Path, redis_url: str, backend: Backend) -> None:
    tmp_path.joinpath("celery_application.py").write_text(APPLICATION, encoding="utf-8")
    app = Celery("publisher", broker=f"{redis_url}/0", set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": backend.namespace}
    manager = FeedManager(backend, executor=CeleryExecutor(app), fanout_chunk_size=CHUNK)
    count = 12 * CHUNK
    manager._graph.import_follows((f"user:{number}", "ann", START) for number in range(count))
    lost = Job(operation=JobOperation.ADD, manager="fanout", feeds=("gone",), users=("bob",), activities=(post(1).id,))
    manager.executor.submit(manager, lost)
    deed = post(1)
    manager.add_user_activity("ann", deed)
    with redis.Redis.from_url(redis_url) as broker:
        (message, *_) = broker.lrange(f"{backend.namespace}feedstore-normal", 0, 0)
        ((fields,), _, _) = json.loads(base64.b64decode(json.loads(message)["body"]))
        assert (fields["version"], fields["followers_of"]) == (1, "ann")
    environment = {**os.environ, "STORE": redis_url, "BROKER": f"{redis_url}/0", "NAMESPACE": backend.namespace}
    with celery_worker(tmp_path, {**environment, "DIES_AT": "5"}) as dying:
        assert dying.wait(120) == -signal.SIGKILL, tmp_path.joinpath("worker.log").read_text(encoding="utf-8")
    timelines = backend.timeline_storage()
    keys = [f"home:user%3A{number}" for number in range(count)]
    with celery_worker(tmp_path, environment) as worker:
        poll_until(lambda: set(map(timelines.count, keys[:: CHUNK // 4])) == {1}, 120, "the delivery")
        poll_until(lambda: not list(manager._progress.keys()), 120, "the last page")
        poll_until(lambda: manager.dead_letters.count() == 1, 120, "the dead letter")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    assert list(timelines.get_many_slices(keys, 0, None).values()) == [[deed.reference]] * count
    (letter,) = manager.dead_letters
    assert letter.error == "InvalidValueError: 'gone' names no feed class; the names are user, normal"
    app.close()


def test_a_task_that_kills_its_worker_becomes_a_dead_letter() -> None:
    class Deadly(FeedManager):
        def run_job(self, job: Job, submit: Callable[[Job], None]) -> None:
            raise SystemExit

    app = Celery("deadly", set_as_current=False)
    executor = CeleryExecutor(app)
    with connect("memory://") as backend:
        manager = Deadly(backend, executor=executor)
        job = Job(operation=JobOperation.ADD, manager="fanout")
        for _ in range(4):
            with pytest.raises(SystemExit):
                executor._run(again_delivered(), job.to_dict())
        assert manager.dead_letters.count() == 0
        executor._run(again_delivered(), job.to_dict())
        (letter,) = manager.dead_letters
        assert (letter.job, letter.error.partition(":")[0]) == (job.to_dict(), "JobCrashedError")
    app.close()


def again_delivered() -> SimpleNamespace:
    """Return a task as Celery makes it from a message that a broker delivers again."""
    return SimpleNamespace(request=Context(retries=0, delivery_info={"redelivered": True}))


def test_a_task_runs_again_if_its_dead_letter_cannot_be_stored() -> None:
    app = Celery("closed", set_as_current=False)
    executor = CeleryExecutor(app, retries=Retries(1))
    with connect("memory://") as backend:
        FeedManager(backend, executor=executor)
    task = SimpleNamespace(request=Context(retries=0), retry=lambda args, countdown: RuntimeError(args, countdown))
    job = Job(operation=JobOperation.ADD, manager="fanout", users=("bob",), activities=(1,)).to_dict()
    with pytest.raises(RuntimeError) as again:
        executor._run(task, job)
    assert again.value.args == ([job], 1.0)
    app.close()


def test_failures_of_tasks() -> None:
    app = Celery("eager", set_as_current=False)
    app.conf.task_always_eager = True
    executor = CeleryExecutor(app, retries=Retries(3, 0))
    with connect("memory://") as backend:
        manager = FeedManager(backend, executor=executor)
        executor.submit(manager, Job(operation=JobOperation.ADD, manager="fanout", feeds=("gone",), users=("bob",)))
        manager.activities.add(post(1))
        lost = Job(
            operation=JobOperation.ADD, manager="fanout", feeds=("gone",), users=("b",), activities=(post(1).id,)
        )
        executor.submit(manager, lost)
        executor.submit(manager, Job(operation=JobOperation.ADD, manager="other"))
        letters = {one.job["manager"]: one for one in manager.dead_letters}
        assert {name: one.attempts for name, one in letters.items()} == {"fanout": 3, "other": 3}
        assert "this worker has no manager 'other'" in letters["other"].error
        with pytest.raises(InvalidValueError, match="another manager 'fanout'"):
            FeedManager(backend, executor=executor)
    assert executor.queue_of(FanoutPriority.LOW) == "feedstore-low"
    with pytest.raises(InvalidTypeError, match="app must be a Celery app"):
        CeleryExecutor("app")
    app.close()
