"""The formats in which stream_framework 1.4 stores activities and aggregated activities."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, NamedTuple

from feedstore.activity import Activity
from feedstore.compat.pickled import PickledName, PickledObject, plain_of, read_pickle
from feedstore.errors import FeedstoreError, InputError, InvalidValueError
from feedstore.ids import time_from_microseconds
from feedstore.ingest.summary import ON_ERROR, STOP
from feedstore.shown import shown

DEFAULT_VERBS: Mapping[int, str] = MappingProxyType({1: "follow", 2: "comment", 3: "love", 4: "add"})
"""The verbs that stream_framework defines itself, by their numbers."""
_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_TIME = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,6}))?", re.ASCII)
_AGGREGATED_PARTS = 7
_NO_TIME = "-1"
_KEPT_EXAMPLES = 20


@dataclass
class ImportFindings:
    """The differences between the source and its import.

    Attributes:
        lost: The numbers of parts of the source that the store does not hold after the import, by their description.
        changed: The numbers of parts that the store holds in another form, by their description.
        examples: The first 20 refused activities and contexts, each with its place and the reason.
    """

    lost: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, description: str, error: FeedstoreError | None = None, number: int = 1) -> None:
        """Count lost parts, and keep one of the first errors."""
        if number:
            self.lost[description] += number
        if error is not None and len(self.examples) < _KEPT_EXAMPLES:
            self.examples.append(str(error))


class RefusedError(InputError):
    """An activity or a context is refused. The message names its place."""


class UnknownVerbError(InputError):
    """A verb has no name. ``verb`` is its number, or the name of its class."""

    def __init__(self, verb: Any, reason: str) -> None:
        super().__init__(reason)
        self.verb = verb


class OldGroup(NamedTuple):
    """An aggregated activity of stream_framework.

    ``ids`` are its activities' ids if it is dehydrated, and ``activities`` the activities otherwise. ``mark`` is the id
    by which the lists of unseen and unread aggregated activities name it.
    """

    group: str
    updated_at: datetime | None
    seen_at: datetime | None
    read_at: datetime | None
    ids: Sequence[str]
    activities: Sequence[Activity]
    minimized: int = 0

    @property
    def mark(self) -> str:
        """The id by which markers name the aggregated activity: the second of its update, in milliseconds."""
        return "" if self.updated_at is None else str(int(self.updated_at.timestamp()) * 1000)


class Converter:
    """Makes activities of the data that stream_framework has stored.

    Args:
        verbs: The names of verbs by their numbers, in addition to :data:`DEFAULT_VERBS`.
        verb_classes: The names of verbs by the name of their class, with its module or without, for the pickled
            aggregated activities in Cassandra.
        on_error: With ``"stop"`` a refused activity or context raises an error. With ``"skip"`` the activity is left
            out, or has no context, and the findings count it.
        findings: Receives the losses and changes.
    """

    def __init__(
        self,
        verbs: Mapping[int, str] | None = None,
        verb_classes: Mapping[str, str] | None = None,
        on_error: str = STOP,
        findings: ImportFindings | None = None,
    ) -> None:
        if on_error not in ON_ERROR:
            raise InvalidValueError(f"on_error must be 'stop' or 'skip', not {shown(on_error)}")
        self.verbs = {**DEFAULT_VERBS, **(verbs or {})}
        self._classes = {name.capitalize(): name for name in DEFAULT_VERBS.values()} | dict(verb_classes or {})
        self._on_error = on_error
        self.findings = ImportFindings() if findings is None else findings

    def activity(self, old_id: str | None, data: bytes) -> Activity | None:
        """Return the activity of the comma format, or None if it is refused and skipped.

        Without an id, as in aggregated activities, the id is derived from the fields.
        """
        try:
            fields = _fields_of(data)
            if old_id is None:
                _, verb, object_, _, time, _ = fields
                old_id = old_id_of(time, object_, verb)
            return self._parsed(old_id, *fields)
        except FeedstoreError as error:
            self.refuse(shown(data, 80) if old_id is None else old_id, error)
            return None

    def row(self, row: Mapping[str, Any]) -> Activity | None:
        """Return the activity of a row of a Cassandra table, or None if it is refused and skipped."""
        old_id = str(row["activity_id"])
        try:
            time = row["time"]
            if not isinstance(time, datetime):
                raise InputError("the row has no time")
            numbers = (row["actor"], row["verb"], row["object"], row["target"])
            return self._parsed(old_id, *numbers, time.replace(tzinfo=timezone.utc), row["extra_context"] or b"")
        except FeedstoreError as error:
            self.refuse(old_id, error)
            return None

    def group(self, member: bytes) -> OldGroup:
        """Return the aggregated activity of a member of a sorted set. Raises :class:`InputError` for other bytes."""
        text = member.decode(errors="surrogateescape")
        parts = text[2:].split(";;")
        if text[:2] != "v3" or len(parts) != _AGGREGATED_PARTS:
            raise InputError(f"{shown(text, 80)} is no aggregated activity of the format v3")
        group, _, *dates, members, minimized = parts
        updated_at, seen_at, read_at = (None if one == _NO_TIME else _time_of(one) for one in dates)
        ids, activities = [], []
        for one in members.split(";") if members else ():
            if "," in one:
                activity = self.activity(None, one.encode(errors="surrogateescape"))
                activities += [] if activity is None else [activity]
            else:
                ids.append(one)
        return OldGroup(group, updated_at, seen_at, read_at, ids, activities, _number(minimized, "minimized"))

    def group_row(self, row: Mapping[str, Any]) -> OldGroup:
        """Return the aggregated activity of a row of a Cassandra table, whose activities are pickled."""
        place = f"the aggregated activity {row['activity_id']}"
        found = read_pickle(row["activities"] or b"")
        if not isinstance(found, list):
            raise InputError(f"{place} holds {shown(type(found).__name__)}, and no list of activities")
        activities = [self._pickled(one, place) for one in found]
        updated_at = row["updated_at"]
        aware = None if updated_at is None else updated_at.replace(tzinfo=timezone.utc)
        return OldGroup(row["group"] or "", aware, None, None, (), [one for one in activities if one is not None])

    def _pickled(self, found: Any, place: str) -> Activity | None:
        try:
            state = found.state if isinstance(found, PickledObject) else None
            actor = state.get("actor_id") if isinstance(state, dict) else None
            if not isinstance(state, dict) or not isinstance(state.get("time"), datetime) or actor is None:
                raise InputError(f"{place} holds a pickled value that is no activity")
            verb = state.get("verb")
            # An application may pass the class of a verb, or an object of it.
            name = self._verb_of_class(verb.name if isinstance(verb, (PickledObject, PickledName)) else "")
            time = state["time"].replace(tzinfo=timezone.utc)
            object_ = state.get("object_id")
            context = self._context(state.get("extra_context") or {}, place)
            number = next((number for number, one in self.verbs.items() if one == name), 0)
            old_id = old_id_of(time, object_, number)
            return Activity(actor, name, object_, state.get("target_id"), time, context, foreign_id=old_id)
        except FeedstoreError as error:
            self.refuse(place, error)
            return None

    def _verb_of_class(self, name: str) -> str:
        found = self._classes.get(name) or self._classes.get(name.rpartition(".")[2])
        if found is None:
            raise UnknownVerbError(
                name,
                f"the class of verbs {shown(name)} is not known; name it in the mapping file, as in "
                '{"verb_classes": {"Share": "share"}}',
            )
        return found

    def _parsed(
        self, old_id: str, actor: Any, verb: Any, object_: Any, target: Any, time: datetime, pickled: bytes
    ) -> Activity:
        name = self.verbs.get(verb)
        if name is None:
            raise UnknownVerbError(
                verb,
                f"the verb {shown(verb)} has no name; name it in the mapping file, as in "
                f'{{"verbs": {{"{verb}": "share"}}}}',
            )
        context: Any = {}
        if pickled:
            try:
                context = self._context(read_pickle(pickled), old_id, len(pickled))
            except InputError as error:
                self._refused_context(old_id, error)
        return Activity(actor, name, object_, target or None, time, context, foreign_id=old_id)

    def _context(self, found: Any, place: str, size: int = 0) -> dict[Any, Any]:
        changes: Counter[str] = Counter()
        try:
            context = plain_of(found, changes, size)
            if not isinstance(context, dict):
                raise InputError(f"the context is {shown(context, 60)}, and no dict")
            # The activity checks its context, too, and an error there would lose the whole activity.
            Activity("a", "check", time=time_from_microseconds(0), extra_context=context)
        except FeedstoreError as error:
            self._refused_context(place, error)
            return {}
        self.findings.changed.update(changes)
        return context

    def _refused_context(self, place: str, error: FeedstoreError) -> None:
        reason = RefusedError(f"{place}: the context is refused: {error}")
        if self._on_error == STOP:
            raise reason from None
        self.findings.note("contexts that are refused; their activities are imported without them", reason)

    def refuse(self, place: str, error: FeedstoreError) -> None:
        """Raise the error of an activity, or count the activity as lost."""
        reason = error if isinstance(error, RefusedError) else RefusedError(f"{place}: {error}")
        if self._on_error == STOP:
            raise reason from None
        if isinstance(error, UnknownVerbError):
            self.findings.note(f"activities with the verb {shown(error.verb)}, which has no name", reason)
        else:
            self.findings.note("activities that are refused", reason)


def old_id_of(time: datetime, object_id: Any, verb: int) -> str:
    """Return stream_framework's id of an activity: milliseconds, ten digits of the object, three of the verb.

    >>> old_id_of(datetime(2013, 7, 4, 12, tzinfo=timezone.utc), 2013, 3)
    '13729392000000000002013003'
    """
    since = time - datetime(1970, 1, 1, tzinfo=timezone.utc)
    # The float of the original, which may round down to the millisecond before.
    milliseconds = int(since.total_seconds() * 1000)
    return f"{milliseconds}{object_id if isinstance(object_id, int) else 0:010d}{verb:03d}"


def _fields_of(data: bytes) -> tuple[int, int, int, int, datetime, bytes]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        # Python 2 wrote the bytes of the pickle as they were.
        text = data.decode("latin-1")
    parts = text.split(",", 5)
    if len(parts) != 6:
        raise InputError(f"{shown(text, 80)} has {len(parts)} fields, and not 6 separated by commas")
    names = ("actor", "verb", "object", "target")
    actor, verb, object_, target = (_number(part, name) for part, name in zip(parts, names, strict=False))
    try:
        pickled = parts[5].encode("latin-1")
    except UnicodeEncodeError:
        raise InputError("the context is no pickle in Latin-1") from None
    return actor, verb, object_, target, _time_of(parts[4]), pickled


def _number(text: str, name: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InputError(f"the {name} is {shown(text, 40)}, and no number")
    return int(text)


def _time_of(text: str) -> datetime:
    match = _TIME.fullmatch(text)
    if match is None:
        raise InputError(f"the time is {shown(text, 40)}, and no number of seconds since 1970")
    try:
        return time_from_microseconds(int(match[1]) * 1_000_000 + int((match[2] or "").ljust(6, "0")))
    except OverflowError:
        raise InputError(f"the time {shown(text, 40)} is too far ahead") from None
