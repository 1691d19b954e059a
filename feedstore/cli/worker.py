"""``feedstore worker``: runs the jobs of feed managers."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from feedstore.cli.managers import add_manager_argument, imported_manager
from feedstore.cli.options import at_least_one
from feedstore.cli.output import counted
from feedstore.fanout import JobOutcome, Retries, Worker

NAME = "worker"
HELP = "run the jobs of feed managers that use a QueueExecutor"
_DEFAULT_CONCURRENCY = 4
_DEFAULTS = Retries()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the managers, and the options of the worker."""
    add_manager_argument(parser, "+")
    parser.add_argument(
        "--concurrency",
        metavar="N",
        type=at_least_one,
        default=_DEFAULT_CONCURRENCY,
        help="the number of threads (default: %(default)s)",
    )
    parser.add_argument(
        "--attempts",
        metavar="N",
        type=at_least_one,
        default=_DEFAULTS.attempts,
        help="the attempts of a job before it becomes a dead letter (default: %(default)s)",
    )
    parser.add_argument("--until-empty", action="store_true", help="end when no job waits or runs in any worker")


def run(arguments: argparse.Namespace) -> int:
    """Run jobs until SIGTERM or SIGINT, end after the running jobs, and print the number of jobs."""
    managers = [imported_manager(one) for one in arguments.managers]
    retries = Retries(arguments.attempts, _DEFAULTS.first_delay)
    worker = Worker(*managers, concurrency=arguments.concurrency, retries=retries)
    names = ", ".join(arguments.managers)
    print(f"{counted(arguments.concurrency, 'thread')} for the jobs of {names}; stop with Ctrl-C", flush=True)
    with _stopping(worker):
        worker.run(until_empty=arguments.until_empty)
    done, dead = worker.outcomes[JobOutcome.DONE], worker.outcomes[JobOutcome.DEAD]
    print(f"ran {counted(done, 'job')}; {counted(dead, 'dead letter')}", flush=True)
    return 0


@contextmanager
def _stopping(worker: Worker) -> Iterator[None]:
    """Stop the worker at the first signal; a second SIGINT interrupts the process."""

    def stop(number: int, frame: FrameType | None) -> None:
        worker.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
