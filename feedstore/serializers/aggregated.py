"""Aggregated activities as msgpack, for applications that store groups."""

from __future__ import annotations

from typing import Any

from feedstore.aggregated import AggregatedActivity
from feedstore.errors import InvalidTypeError
from feedstore.ids import ID_BYTES, id_from_bytes, id_to_bytes, microseconds_of, time_from_microseconds
from feedstore.serializers.base import Serializer, undecodable, wrong_format
from feedstore.serializers.msgpack import field_values, restore_activity
from feedstore.serializers.values import pack_value, unpack_value
from feedstore.shown import shown

FORMAT = 0x41
_PREFIX = bytes([FORMAT])
_MARK = (bool, type(None))
# The types of the stored fields, in their order.
_TYPES: tuple[tuple[type, ...], ...] = ((str,), (int,), (bool,), (int,), (int,), _MARK, _MARK, (list,))


class AggregatedActivitySerializer(Serializer[AggregatedActivity]):
    """Stores an aggregated activity with the activities that it shows.

    Aggregated feeds do not need it, because they store no groups. It is for an application that keeps groups itself,
    for example in ``backend.activity_storage(AggregatedActivitySerializer, name="digests")``.

    Format ``0x41``: that byte, then the msgpack array ``[group, activity_count, activity_count_is_exact, created_at,
    updated_at, is_seen, is_read, activities]``. Times are in microseconds since 1970. Each activity is its id in 16
    bytes, followed by its fields as :class:`~feedstore.serializers.MsgpackSerializer` stores them.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of an aggregated activity."""
        if not isinstance(activity, AggregatedActivity):
            raise InvalidTypeError(
                f"{type(self).__name__} stores aggregated activities, not {shown(activity)} of type "
                f"{type(activity).__name__}"
            )
        members = [[id_to_bytes(each.serialization_id), *field_values(each)] for each in activity.activities]
        return _PREFIX + pack_value(
            [
                activity.group,
                activity.activity_count,
                activity.activity_count_is_exact,
                microseconds_of(activity.created_at),
                microseconds_of(activity.updated_at),
                activity.is_seen,
                activity.is_read,
                members,
            ]
        )

    def loads(self, data: bytes, activity_id: int) -> AggregatedActivity:
        """Return the aggregated activity that the bytes hold."""
        make: type[AggregatedActivity] = self.aggregated_activity_class or AggregatedActivity
        if data.__class__ is not bytes or data[:1] != _PREFIX:
            raise wrong_format(data, FORMAT, activity_id)
        try:
            fields = unpack_value(data[1:])
            _check_types(fields)
            group, count, is_exact, created, updated, is_seen, is_read, members = fields
            return make(
                id=activity_id,
                group=group,
                activities=tuple(
                    restore_activity(self.activity_class, id_from_bytes(member_id), rest)
                    for member_id, *rest in members
                ),
                activity_count=count,
                activity_count_is_exact=is_exact,
                created_at=time_from_microseconds(created),
                updated_at=time_from_microseconds(updated),
                is_seen=is_seen,
                is_read=is_read,
            )
        except (ValueError, TypeError, OverflowError) as error:
            raise undecodable(activity_id, f"its msgpack is damaged ({error})") from error


def _check_types(fields: Any) -> None:
    """Raise a ``ValueError`` unless these are the fields of an aggregated activity."""
    is_whole = type(fields) is list and len(fields) == len(_TYPES)
    if not (is_whole and all(type(value) in types for value, types in zip(fields, _TYPES, strict=True))):
        raise ValueError("the fields are not those of an aggregated activity")
    members = fields[-1]
    if not all(type(one) is list and one and type(one[0]) is bytes and len(one[0]) == ID_BYTES for one in members):
        raise ValueError("its activities are not lists that begin with an id of 16 bytes")
    if fields[1] < len(members):
        raise ValueError(f"it counts {fields[1]} activities and holds {len(members)}")
