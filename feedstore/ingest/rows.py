"""Activities from the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from feedstore.activity import Activity
from feedstore.activity_fields import in_utc
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.feeds import UserId
from feedstore.feeds.key_format import KeyFormat
from feedstore.ids import derive_id
from feedstore.ingest.table import Columns, InputTable
from feedstore.ingest.times import parse_time
from feedstore.interchange import from_tagged
from feedstore.shown import shown
from feedstore.storage.checks import check_key

ACTIVITY_COLUMNS = Columns(("id", "time", "actor", "verb", "object", "target", "extra"), optional=("target", "extra"))
EXPORTED_COLUMNS = Columns(
    ("id", "time", "actor", "verb", "object", "target", "foreign_id", "extra_context"),
    optional=("id", "object", "target", "foreign_id", "extra_context"),
)
"""The columns of a file that ``feedstore export`` writes: the fields of an activity with their own names."""
_STRS = (str, str, str)
SURELY_SHORT = 250
"""Names of up to this many characters never make too long a key; UTF-8 has at most 4 bytes for each character."""

_KEYS = KeyFormat("user:{user_id}")
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


class ActivityReader:
    """An iterable of the activities of a table with :data:`ACTIVITY_COLUMNS`.

    A row's ``id`` becomes the activity's ``foreign_id``, as a str, so the same row makes the same activity in CSV and
    in NDJSON. A time more than ``max_future`` ahead of the clock is an error, because the activity would stay on top of
    every timeline.

    An iterator raises the errors of the table, and :class:`InputError` for a row that describes no activity. Each
    iterator continues after the last row that was read, also after an error unless ``table.lines.damaged``.
    """

    def __init__(self, table: InputTable, max_future: timedelta) -> None:
        self.table = table
        self._max_future = max_future
        self._latest = self._latest_now()

    def __iter__(self) -> Iterator[Activity]:
        table, activity_of = self.table, self.activity_of
        for values in table:
            try:
                activity = activity_of(*values)
                if activity.time > self._latest:
                    self._check_against_clock(activity)
            except (InvalidValueError, InvalidTypeError) as error:
                raise table.error(str(error)) from None
            yield activity

    def activity_of(
        self, row_id: Any, time: Any, actor: Any, verb: Any, object_: Any, target: Any, extra: Any
    ) -> Activity:
        """Return the activity of a row."""
        if row_id is None or time is None or actor is None or verb is None or object_ is None:
            raise _empty_error(row_id, time, actor, verb, object_)
        when = parse_time(time)
        context = {} if extra is None else self.table.read_object(extra)
        if row_id.__class__ is not str:
            row_id = _text_of(row_id)
        kinds = (actor.__class__, verb.__class__, object_.__class__)
        if kinds != _STRS or not (target is None or target.__class__ is str) or len(actor) > SURELY_SHORT:
            return _checked_actor(Activity(actor, verb, object_, target, when, context, foreign_id=row_id))
        # The table has made the constructor's checks of strs and of the context, and no caller holds the context.
        when = when if when.tzinfo is timezone.utc else in_utc(when)
        activity_id = derive_id(when, actor, verb, object_, target, row_id)
        return Activity.restore(activity_id, actor, verb, object_, target, when, context, row_id)

    def _check_against_clock(self, activity: Activity) -> None:
        self._latest = self._latest_now()
        if activity.time > self._latest:
            raise InvalidValueError(
                f"the time {activity.time.isoformat()} lies more than {_duration_text(self._max_future)} ahead of "
                "the clock; the activity would stay on top of every timeline"
            )

    def _latest_now(self) -> datetime:
        try:
            return datetime.now(timezone.utc) + self._max_future
        except OverflowError:
            return datetime.max.replace(tzinfo=timezone.utc)


def check_user(column: str, user: UserId) -> None:
    """Raise an error that names the column if the key of the user's feed would be too long."""
    check_key(_KEYS.keys((user,))[0], f"{column}'s key")


class ExportedReader(ActivityReader):
    """An iterable of the activities of a table with :data:`EXPORTED_COLUMNS`, which loses nothing of them.

    The values of NDJSON may be tagged (:func:`feedstore.interchange.to_tagged`). In CSV, names are strs, and the extra
    context is tagged JSON.
    """

    def activity_of(  # type: ignore[override]
        self,
        own_id: Any,
        time: Any,
        actor: Any,
        verb: Any,
        object_: Any,
        target: Any,
        foreign_id: Any,
        extra_context: Any,
    ) -> Activity:
        """Return the activity of a row."""
        if time is None or actor is None or verb is None:
            raise _empty_error("-", time, actor, verb, "-")
        context = {} if extra_context is None else from_tagged(self.table.read_object(extra_context))
        actor, object_, target, foreign_id = map(from_tagged, (actor, object_, target, foreign_id))
        activity = Activity(actor, verb, object_, target, parse_time(time), context, own_id, foreign_id)
        return _checked_actor(activity)


class DocumentReader(ActivityReader):
    """An iterable of the activities that a table has read from documents."""

    def activity_of(self, activity: Activity) -> Activity:  # type: ignore[override]
        """Return the activity."""
        return _checked_actor(activity)


def _checked_actor(activity: Activity) -> Activity:
    """Return an activity, or raise :class:`InvalidValueError` if its actor is too long for the key of a feed."""
    check_user("actor", activity.actor)
    return activity


def _empty_error(*values: Any) -> InvalidValueError:
    empty = [name for name, value in zip(ACTIVITY_COLUMNS.names, values, strict=False) if value is None]
    return InvalidValueError(f"{' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty")


def _duration_text(duration: timedelta) -> str:
    """Return a duration in the largest unit that it is a whole number of."""
    seconds = duration.total_seconds()
    for unit, length in _UNITS:
        count, rest = divmod(seconds, length)
        if not rest and (count or unit == "second"):
            return f"{count:,.0f} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:,} seconds"


def _text_of(row_id: Any) -> str:
    """Return a row's numeric id as the str that CSV would contain."""
    if not isinstance(row_id, int) or isinstance(row_id, bool):
        raise InvalidTypeError(f"id must be a str or an int, not {shown(row_id)} of type {type(row_id).__name__}")
    if not -(2**63) <= row_id < 2**64:
        raise InvalidValueError(f"id {row_id} does not fit into 64 bits; write it as a str")
    return str(row_id)
