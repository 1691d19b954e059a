"""Failures of jobs: the delays before the next attempts, and the jobs that failed each time."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from feedstore.errors import InvalidTypeError, InvalidValueError, JobCrashedError
from feedstore.fanout.jobs import Job
from feedstore.fanout.publications import delete_unchanged
from feedstore.shown import shown
from feedstore.storage import Backend
from feedstore.storage.checks import check_limit, check_position

_logger = logging.getLogger("feedstore.fanout")
_LONGEST_ERROR = 500
# So many delays and their sum are finite floats.
_MOST_ATTEMPTS = 1000
_ID = re.compile(r"[0-9A-Za-z_.-]{1,100}", re.ASCII)
_LARGEST_STEP = 2**53
_DIGEST_BYTES = 16
_MOST_CRASHES = 4
"""The number of runs after the first delivery of a job that may end with the process of the worker."""


@dataclass(frozen=True, slots=True)
class Retries:
    """The attempts of a job that fails.

    Attributes:
        attempts: the number of attempts, the first included; at most 1,000.
        first_delay: the seconds between the first attempt and the second; each further delay is twice as long.
    """

    attempts: int = 5
    first_delay: float = 1.0

    def __post_init__(self) -> None:
        if check_limit("attempts", self.attempts) > _MOST_ATTEMPTS:
            raise InvalidValueError(f"attempts is {shown(self.attempts)}; pass 1 to {_MOST_ATTEMPTS}")
        if isinstance(self.first_delay, bool) or not isinstance(self.first_delay, (int, float)):
            raise InvalidTypeError(f"first_delay must be a number of seconds, not {shown(self.first_delay)}")
        if not 0 <= self.first_delay <= 3600:
            raise InvalidValueError(f"first_delay is {shown(self.first_delay)}; pass 0 to 3600 seconds")

    def delay_after(self, attempt: int) -> float | None:
        """Return the seconds until the attempt after attempt number ``attempt``, or None if it was the last."""
        return None if attempt >= self.attempts else self.first_delay * 2.0 ** (attempt - 1)

    @property
    def seconds(self) -> float:
        """The sum of all delays."""
        return sum(self.first_delay * 2.0**number for number in range(self.attempts - 1))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed at each attempt.

    Attributes:
        key: the name of the letter.
        job: the JSON form of the job, or the message that is no job; of a damaged message its bytes as hex digits.
        error: the type and the message of the last error.
        attempts: the number of attempts.
        failed_at: the time of the last attempt.
    """

    key: str
    job: Any
    error: str
    attempts: int
    failed_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the letter in types of JSON."""
        return {
            "key": self.key,
            "job": self.job,
            "error": self.error,
            "attempts": self.attempts,
            "failed_at": self.failed_at.isoformat(),
        }


class DeadLetters:
    """The jobs of a manager that failed at each attempt, in a key-value storage of its backend.

    A second storage holds the numbers of those runs that did not end, for jobs that a queue has delivered again. It has
    no entries but those of such jobs, so ordinary jobs cost no round trip.
    """

    def __init__(self, backend: Backend, name: str) -> None:
        self.backend = backend
        self._items = backend.kv_storage(f"{name}-dead")
        self._crashes = backend.kv_storage(f"{name}-crashes")

    def begin_run(self, job: Job) -> int:
        """Count a run of a job that was delivered again as one that does not end, until :meth:`end_run`.

        Two round trips.

        Returns:
            The number of runs before it that did not end.

        Raises:
            JobCrashedError: There are too many of them.
        """
        key = _key_of(job.id, job.step)
        crashes: int = self._crashes.get(key, 0)
        if crashes >= _MOST_CRASHES:
            raise JobCrashedError(f"{crashes} repeated runs of the job did not end; it may kill its worker's process")
        self._crashes.upsert(key, crashes + 1)
        return crashes

    def end_run(self, job: Job, crashes: int = 0) -> None:
        """Restore the number of runs that did not end to the one before a run that has ended. One round trip."""
        key = _key_of(job.id, job.step)
        if crashes:
            self._crashes.upsert(key, crashes)
        else:
            self._crashes.delete(key)

    def add(self, job: Any, error: BaseException, attempts: int) -> DeadLetter:
        """Keep a job, given in its JSON form. Workers that give up the same job keep it once."""
        fields = job if isinstance(job, dict) else {}
        key = _key_of(fields.get("id"), fields.get("step", 0))
        text = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR].encode(errors="backslashreplace").decode()
        letter = DeadLetter(key, job, text, attempts, datetime.now(timezone.utc))
        try:
            self._items.upsert(key, _value(letter))
        except (InvalidTypeError, InvalidValueError):
            # JSON has values that no storage takes, such as a lone surrogate. No job has them, so it is not replayed.
            letter = replace(letter, job=shown(job, _LONGEST_ERROR))
            self._items.upsert(key, _value(letter))
        # A replay counts again.
        self._crashes.delete(key)
        _logger.error("the job %s failed %d times and is a dead letter now: %s", key, attempts, text)
        return letter

    def list(self, limit: int = 100, after: str | None = None) -> list[DeadLetter]:
        """Return up to ``limit`` letters after a key, in the order of their keys."""
        check_position("limit", limit)
        return [_letter(key, value) for key, value in self._items.items(after=after, limit=limit)]

    def get(self, key: str) -> DeadLetter | None:
        """Return one letter, or None if it is absent."""
        value = self._items.get(key)
        return None if value is None else _letter(key, value)

    def __iter__(self) -> Iterator[DeadLetter]:
        return (_letter(key, value) for key, value in self._items.items())

    def remove(self, key: str) -> None:
        """Remove a letter; an absent one is no error."""
        self._items.delete(key)

    def rewrite(self, letter: DeadLetter, job: Any) -> None:
        """Give a letter another job, or remove it if the job is None. Another process may have removed it since."""
        if job is None:
            self._items.delete(letter.key)
        elif self._items.exists(letter.key):
            self._items.upsert(letter.key, _value(replace(letter, job=job)))

    def remove_unchanged(self, letter: DeadLetter) -> None:
        """Remove a letter, unless its job has failed again and was kept with the same key."""
        delete_unchanged(self.backend, self._items, letter.key, _value(letter))

    def count(self) -> int:
        """Return the number of letters. Reads their keys."""
        keys = self._items.keys()
        return sum(1 for _ in keys)


def _key_of(job_id: Any, step: Any) -> str:
    """Return the key of a job; a random one for a message without the id of a job."""
    if not isinstance(job_id, str) or not isinstance(step, int) or not 0 <= step <= _LARGEST_STEP:
        return uuid4().hex
    if not _ID.fullmatch(job_id):
        job_id = blake2b(job_id.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{job_id}-{step}"


def _value(letter: DeadLetter) -> dict[str, Any]:
    return {"job": letter.job, "error": letter.error, "attempts": letter.attempts, "failed_at": letter.failed_at}


def _letter(key: str, value: dict[str, Any]) -> DeadLetter:
    return DeadLetter(key, value["job"], value["error"], value["attempts"], value["failed_at"])
