"""Jobs: the parts of a fan-out as plain JSON values, which any executor carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from secrets import token_hex
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import id_to_text, parse_id
from feedstore.shown import shown
from feedstore.storage.checks import check_key

_ID_BYTES = 16
JOB_VERSION = 1
"""The version of the form of jobs that this release writes. It runs jobs of this version and of older ones."""


class FanoutPriority(StrEnum):
    """The priority of a fan-out. Executors run jobs of a higher priority first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class JobOperation(StrEnum):
    """The work of a job."""

    ADD = "add"
    """Add activities to feeds."""
    REMOVE = "remove"
    """Remove activities from feeds."""
    REFRESH = "refresh"
    """Write activities again to the feeds that hold a copy of them."""
    COPY = "copy"
    """Copy the activities of followed users to the feeds of a follower."""
    PURGE = "purge"
    """Remove the activities of users from the feeds of a former follower."""
    SETTLE = "settle"
    """Deliver the activities of a producer that was pulled, one page of followers after the other."""


def new_job_id() -> str:
    """Return a random id of a job."""
    return token_hex(_ID_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A part of a fan-out. It may run several times, and ends with the same feeds as if it ran once.

    Attributes:
        operation: the work.
        manager: the name of the manager that runs it.
        id: the id, which the following pages of the same fan-out share. That of a settlement names the change of the
            producer's mode.
        priority: the priority.
        activities: the ids of the activities that are added, removed or refreshed.
        feeds: the names of feed classes.
        users: the users whose feeds change, as strs; they come before the first page of followers.
        followers_of: a user or thing of the follow graph, whose followers' feeds change, too.
        after: the cursor of the page of followers after which the job continues, or None to start with the newest.
        step: the number of pages before this one.
        alone: whether the job of the next page was submitted before, by an attempt of this job that failed after it.
        skipped: users whose feeds do not change.
        unless_following: a removal leaves out the followers of these users, because their feeds hold the activities
            for another reason.
        actor: an addition leaves out the readers that have blocked this user. None: no reader is left out.
        targets: the followed users of a copy, the users of a purge, or the producer of a settlement.
        copy_limit: the most activities that a copy takes of each followed user.
        created_at: the time at which the job was made, in seconds since 1970. Executors compute their lag from it.
        loaded: the activities themselves, if the caller has them. They are no part of the JSON form.
    """

    operation: JobOperation
    manager: str
    id: str = field(default_factory=new_job_id)
    priority: FanoutPriority = FanoutPriority.NORMAL
    activities: tuple[int, ...] = ()
    feeds: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    followers_of: str | None = None
    after: str | None = None
    step: int = 0
    alone: bool = False
    skipped: tuple[str, ...] = ()
    unless_following: tuple[str, ...] = ()
    actor: str | None = None
    targets: tuple[str, ...] = ()
    copy_limit: int | None = None
    created_at: float = 0.0
    loaded: tuple[Activity, ...] | None = field(default=None, compare=False, repr=False)

    def next_page(self, cursor: str, priority: FanoutPriority) -> Job:
        """Return the job of the next page of followers."""
        return replace(self, after=cursor, step=self.step + 1, users=(), priority=priority)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the job: its fields without those that have their default value, and a version."""
        fields: dict[str, Any] = {"version": JOB_VERSION, "operation": str(self.operation), "manager": self.manager}
        fields |= {"id": self.id, "priority": str(self.priority), "created_at": self.created_at}
        if self.activities:
            fields["activities"] = [id_to_text(each) for each in self.activities]
        for name in _LISTS:
            if value := getattr(self, name):
                fields[name] = list(value)
        for name in _SCALARS:
            value = getattr(self, name)
            if value is not None and (value or name == "copy_limit"):
                fields[name] = value
        return fields

    @classmethod
    def from_dict(cls, fields: Any) -> Job:
        """Return the job of its JSON form.

        Raises:
            InvalidTypeError: ``fields`` is no mapping, or a field has the wrong type.
            InvalidValueError: The form has a newer version, an unknown or absent field, or a value that no job has.
        """
        if not isinstance(fields, Mapping):
            raise InvalidTypeError(f"a job must be a mapping such as the result of Job.to_dict(), not {shown(fields)}")
        _check_form(fields)
        known: dict[str, Any] = {name: _checked_list(name, fields[name]) for name in _LISTS if name in fields}
        for name in (*_SCALARS, "manager", "id", "created_at"):
            if name in fields:
                known[name] = _checked_scalar(name, fields[name])
        _check_users(fields)
        return cls(
            operation=JobOperation(fields["operation"]),
            priority=FanoutPriority(fields.get("priority", FanoutPriority.NORMAL)),
            activities=tuple(map(parse_id, _checked_list("activities", fields.get("activities", [])))),
            **known,
        )


_LISTS = ("feeds", "users", "skipped", "unless_following", "targets")
_SCALARS = ("followers_of", "after", "step", "alone", "actor", "copy_limit")
_NOT_STRS: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "alone": bool,
    "copy_limit": int,
    "created_at": (int, float),
}
_LARGEST = 2**53
_NEEDED = {
    JobOperation.COPY: ("users", "targets"),
    JobOperation.PURGE: ("users", "targets"),
    JobOperation.SETTLE: ("targets",),
}
_REQUIRED = ("version", "operation", "manager", "id")
_NAMES = {*_REQUIRED, *_LISTS, *_SCALARS, "priority", "activities", "created_at"}


def as_priority(priority: object) -> FanoutPriority:
    """Return a priority; None is the normal one, as in stream_framework."""
    if priority is None:
        return FanoutPriority.NORMAL
    try:
        return FanoutPriority(str(priority).lower())
    except ValueError:
        names = ", ".join(FanoutPriority)
        raise InvalidValueError(f"{shown(priority)} is no priority; the priorities are {names} and None") from None


def _check_form(fields: Mapping[str, Any]) -> None:
    missing = [name for name in _REQUIRED if name not in fields]
    if missing:
        raise InvalidValueError(f"the job {shown(fields)} lacks the field {missing[0]}")
    version = fields["version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidValueError(f"the job has the version {shown(version)}; it must be an int of 1 or more")
    if version > JOB_VERSION:
        raise InvalidValueError(
            f"the job has the version {shown(version)}, and this release of feedstore runs jobs up to version "
            f"{JOB_VERSION}; upgrade the workers first"
        )
    unknown = [name for name in fields if name not in _NAMES]
    if unknown:
        raise InvalidValueError(f"the job has the unknown field {shown(unknown[0])}")
    for name, values in (("operation", JobOperation), ("priority", FanoutPriority)):
        if name in fields and fields[name] not in list(values):
            raise InvalidValueError(f"the job has the {name} {shown(fields[name])}; pass one of {', '.join(values)}")


def _check_users(fields: Mapping[str, Any]) -> None:
    for name in _NEEDED.get(fields["operation"], ()):
        if not fields.get(name):
            raise InvalidValueError(f"the job {shown(fields)} has no {name}, which a {fields['operation']} needs")


def _checked_list(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise InvalidTypeError(f"the field {name} of a job must be a list of strs, not {shown(value)}")
    return tuple(value)


def _checked_scalar(name: str, value: Any) -> Any:
    wanted = _NOT_STRS.get(name, str)
    if isinstance(value, bool) is not (wanted is bool) or not isinstance(value, wanted):
        raise InvalidTypeError(f"the field {name} of a job has the wrong type: {shown(value)}")
    if isinstance(value, str):
        return check_key(value, name) if name in ("id", "manager") else value
    if isinstance(value, (int, float)) and not 0 <= value <= _LARGEST:
        raise InvalidValueError(f"the field {name} of a job is {shown(value)}; it must be between 0 and {_LARGEST}")
    return value
