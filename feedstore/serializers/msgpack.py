"""Activities as msgpack: the default of activity storages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import id_to_text, microseconds_of, time_from_microseconds
from feedstore.serializers.base import Serializer, undecodable, wrong_format
from feedstore.serializers.values import naming, new_packer, pack_with, unpack_value

FORMAT = 0x11
_PREFIX = bytes([FORMAT])


class MsgpackSerializer(Serializer[Activity]):
    """Stores a whole activity in the compact binary format of https://msgpack.org.

    Format ``0x11``: that byte, then the array ``[actor, verb, object, target, time, extra_context, foreign_id]`` with
    the time in microseconds since 1970. Trailing fields that are empty (no foreign id, no context) are left out. The
    id is not stored again. Values of the extra context keep their types (see :mod:`feedstore.serializers.values`).
    """

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of an activity. About 1 µs for one of 150 bytes."""
        return self._dumps_with(new_packer(), activity)

    def dumps_many(self, activities: Iterable[Any]) -> list[bytes]:
        """Return the bytes of several activities, in their order."""
        packer, dumps_with = new_packer(), self._dumps_with
        return [dumps_with(packer, activity) for activity in activities]

    def _dumps_with(self, packer: Any, activity: Any) -> bytes:
        if activity.__class__ is not self.activity_class:
            self.check_activity(activity)
        try:
            return _PREFIX + pack_with(packer, field_values(activity))
        except (InvalidTypeError, InvalidValueError) as error:
            raise naming(error, f"activity {id_to_text(activity.serialization_id)}") from None

    def loads(self, data: bytes, activity_id: int) -> Activity:
        """Return the activity that the bytes hold. About 1 µs for one of 150 bytes."""
        if data.__class__ is not bytes or not data or data[0] != FORMAT:
            raise wrong_format(data, FORMAT, activity_id)
        try:
            return restore_activity(self.activity_class, activity_id, unpack_value(data[1:]))
        except (ValueError, TypeError, OverflowError) as error:
            raise undecodable(activity_id, f"its msgpack is damaged ({error})") from error

    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[Activity]:
        """Return the activities of ``(id, data)`` pairs; every error of :meth:`loads` names its id already."""
        return [self.loads(data, activity_id) for activity_id, data in entries]


def field_values(activity: Activity) -> list[Any]:
    """Return the fields of an activity in their stored order, without the empty ones at the end."""
    fields: list[Any] = [
        activity.actor,
        activity.verb,
        activity.object,
        activity.target,
        microseconds_of(activity.time),
    ]
    context, foreign_id = activity.stored_context, activity.foreign_id
    if foreign_id is not None:
        fields += (context, foreign_id)
    elif context:
        fields.append(context)
    return fields


def restore_activity(activity_class: type[Activity], activity_id: int, fields: Any) -> Activity:
    """Return the activity of stored ``fields``. Raises ``TypeError`` or ``ValueError`` where they are not those of
    one.
    """
    extra_context: Any = {}
    foreign_id = None
    if len(fields) == 7:
        actor, verb, object_, target, microseconds, extra_context, foreign_id = fields
    elif len(fields) == 6:
        actor, verb, object_, target, microseconds, extra_context = fields
    else:
        actor, verb, object_, target, microseconds = fields
    if not isinstance(extra_context, dict):
        raise ValueError("the fields are not those of an activity")
    time = time_from_microseconds(microseconds)
    return activity_class.restore(activity_id, actor, verb, object_, target, time, extra_context, foreign_id)
