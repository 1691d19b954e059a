"""The contract of serializers: two methods over bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic

from typing_extensions import TypeVar

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, StoredDataError
from feedstore.ids import id_to_text
from feedstore.shown import shown

Item = TypeVar("Item", covariant=True, default=Any)


class Serializer(ABC, Generic[Item]):
    """Turns an activity into bytes and back. A storage makes one instance of its serializer class.

    ``activity_class`` is the class of the activities that :meth:`loads` returns and :meth:`dumps` accepts.
    ``aggregated_activity_class`` is that of the aggregated activities, for a serializer that stores groups. No call
    changes the state of an instance, so threads share it.

    To write a serializer, override :meth:`dumps` and :meth:`loads`. Start the bytes with a byte of your own for format
    and version. The shipped serializers use ``0x11`` (msgpack), ``0x21`` (JSON), ``0x31`` (pickle), ``0x41``
    (aggregated activities), ``0x51`` (follows), ``0x52`` (routes of a feed manager), ``0x71`` (places of events) and
    ``0x96`` (events), and key-value storages use ``0x01``.
    """

    def __init__(
        self, activity_class: type[Activity] = Activity, aggregated_activity_class: type[Any] | None = None
    ) -> None:
        self.activity_class = activity_class
        self.aggregated_activity_class = aggregated_activity_class

    @abstractmethod
    def dumps(self, activity: Any) -> bytes:
        """Return the bytes to store for ``activity``; ``b""`` means that the id suffices.

        Raises :class:`InvalidTypeError` or :class:`InvalidValueError` for an activity that cannot be stored.
        """

    @abstractmethod
    def loads(self, data: bytes, activity_id: int) -> Item:
        """Return the object of ``activity_id`` from the bytes of :meth:`dumps`.

        Raises :class:`StoredDataError` for bytes of another format.
        """

    def dumps_many(self, activities: Iterable[Any]) -> list[bytes]:
        """Return the bytes of several activities, in their order. Override it if one call for many is cheaper."""
        return [self.dumps(activity) for activity in activities]

    def loads_many(self, entries: Iterable[tuple[int, bytes]]) -> list[Item]:
        """Return the objects of ``(id, data)`` pairs, in their order. An error names the id that it belongs to."""
        return [self._loads_naming_id(data, activity_id) for activity_id, data in entries]

    def _loads_naming_id(self, data: bytes, activity_id: int) -> Item:
        try:
            return self.loads(data, activity_id)
        except StoredDataError:
            raise
        # An application's serializer may raise any exception on damaged bytes; the error must name the damaged id.
        except Exception as error:
            raise undecodable(activity_id, f"{type(error).__name__}: {error}") from error

    def check_activity(self, activity: Any) -> None:
        """Raise :class:`InvalidTypeError` unless ``activity`` is of exactly :attr:`activity_class`."""
        if activity.__class__ is self.activity_class:
            return
        if isinstance(activity, self.activity_class):
            name = type(activity).__name__
            raise InvalidTypeError(
                f"{type(self).__name__} would bring {shown(activity)} back as {self.activity_class.__name__}; pass "
                f"activity_class={name} to the storage"
            )
        raise InvalidTypeError(
            f"{type(self).__name__} stores objects of {self.activity_class.__name__}, "
            f"not {shown(activity)} of type {type(activity).__name__}{_hint(activity)}"
        )


def _hint(activity: object) -> str:
    if isinstance(activity, (list, tuple, set, frozenset)):
        return "; pass several to add_many"
    return "; did you swap the key and the activity?" if isinstance(activity, str) else ""


def undecodable(activity_id: int, reason: str) -> StoredDataError:
    """Return the error for stored bytes that cannot be decoded; it names the id."""
    return StoredDataError(f"the stored bytes of activity {id_to_text(activity_id)} cannot be decoded: {reason}")


def wrong_format(data: bytes, expected: int, activity_id: int) -> StoredDataError:
    """Return the error for bytes whose leading byte is not the ``expected`` format and version."""
    if not isinstance(data, bytes):
        return undecodable(activity_id, f"it is of type {type(data).__name__}, not bytes")
    if not data:
        return undecodable(activity_id, "it is empty; was it stored as a reference?")
    return undecodable(
        activity_id,
        f"its format byte is 0x{data[0]:02x}, this serializer reads 0x{expected:02x}; "
        "it was written by another serializer or a newer release",
    )
