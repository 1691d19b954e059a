"""Activities as JSON, for stores that other programs read."""

from __future__ import annotations

import json
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import id_to_text, microseconds_of, time_from_microseconds
from feedstore.plain_values import path_to_fault
from feedstore.serializers.base import Serializer, undecodable, wrong_format
from feedstore.shown import shown

FORMAT = 0x21
_PREFIX = bytes([FORMAT])
_PLAIN = frozenset({type(None), bool, int, float, str})


class JsonSerializer(Serializer[Activity]):
    """Stores a whole activity as a JSON object in UTF-8.

    Format ``0x21``: that byte, then an object with ``actor``, ``verb``, ``object``, ``time`` (microseconds since
    1970), and if they are set ``target``, ``extra_context`` and ``foreign_id``. The extra context may hold None,
    bool, int, finite float, str, list and dict with strs as keys; any other value raises :class:`InvalidTypeError`,
    because it would come back changed. The error names the path of the value.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of an activity."""
        self.check_activity(activity)
        what = f"activity {id_to_text(activity.serialization_id)}"
        try:
            _check_plain(activity.stored_context, what)
            text = json.dumps(_to_object(activity), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            return _PREFIX + text.encode()
        except (ValueError, RecursionError) as error:
            raise InvalidValueError(f"{what} cannot be stored as JSON: {error}") from None

    def loads(self, data: bytes, activity_id: int) -> Activity:
        """Return the activity that the bytes hold."""
        if data.__class__ is not bytes or data[:1] != _PREFIX:
            raise wrong_format(data, FORMAT, activity_id)
        try:
            return self._from_object(activity_id, json.loads(data[1:]))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise undecodable(activity_id, f"its JSON is damaged ({type(error).__name__}: {error})") from error

    def _from_object(self, activity_id: int, fields: dict[str, Any]) -> Activity:
        extra_context = fields.get("extra_context", {})
        if not isinstance(extra_context, dict):
            raise TypeError("its extra context is no object")
        return self.activity_class.restore(
            activity_id,
            fields["actor"],
            fields["verb"],
            fields["object"],
            fields.get("target"),
            time_from_microseconds(fields["time"]),
            extra_context,
            fields.get("foreign_id"),
        )


def _to_object(activity: Activity) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "actor": activity.actor,
        "verb": activity.verb,
        "object": activity.object,
        "time": microseconds_of(activity.time),
    }
    if activity.target is not None:
        fields["target"] = activity.target
    if activity.stored_context:
        fields["extra_context"] = activity.stored_context
    if activity.foreign_id is not None:
        fields["foreign_id"] = activity.foreign_id
    return fields


def _check_plain(value: Any, what: str) -> None:
    """Raise :class:`InvalidTypeError`, with the path of a value that JSON would bring back changed."""
    if not _is_plain(value):
        path, item, _ = path_to_fault(value, "extra_context", lambda part, levels: not _is_plain(part))
        keys = [key for key in item if type(key) is not str] if type(item) is dict else []
        if keys:
            problem = f"has the key {shown(keys[0])} of type {type(keys[0]).__name__}; JSON allows only str keys"
        else:
            problem = f"is {shown(item)} of type {type(item).__name__}, which JSON would bring back changed"
        raise InvalidTypeError(f"{what}: {path} {problem}; pass a str, or use MsgpackSerializer")


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        # Loops, because a generator costs a second frame of Python's stack for each level.
        for key, item in value.items():  # noqa: SIM110
            if type(key) is not str or not _is_plain(item):
                return False
        return True
    if kind is list:
        for item in value:  # noqa: SIM110
            if not _is_plain(item):
                return False
        return True
    return kind in _PLAIN
