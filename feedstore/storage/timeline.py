"""The timeline storage's contract."""

from __future__ import annotations

from feedstore.serializers import Serializer, TimelineReferenceSerializer
from feedstore.storage.timeline_hooks import TimelineItem
from feedstore.storage.timeline_reads import TimelineReads
from feedstore.storage.timeline_writes import TimelineWrites


class TimelineStorage(TimelineReads[TimelineItem], TimelineWrites[TimelineItem]):
    """A storage of timelines: key → entries in the order of their ids, newest first.

    An entry is an id and a payload or nothing; the serializer decides. Under the default,
    :class:`~feedstore.serializers.TimelineReferenceSerializer`, it is the id alone, and slices are hydrated from an
    activity storage. Keys are text of 1 to 1,024 bytes in UTF-8, any character. Wherever entries are named, an
    activity, an :class:`~feedstore.activity.ActivityRef`, an int, a UUID or its text will do.

    - T1 Adding returns how many were newly stored; adding an id that is there replaces its payload in its place and
      counts 0; of a duplicate in one call the last wins. Removing returns how many were there. ``add_to_many`` counts
      deliveries before trimming.
    - T2 Ids come back as ints. T3 Ids of one millisecond keep their order; filters are exact, also at 0 and at 2**128
      - 1.
    - T4 Arguments are never changed. T5 A filter, an ordering or an option is honoured or refused, never ignored.
    - T6 A negative start, stop or length is a ``ValueError``. T7 Slices are those of a Python list.
    - T8 ``trim`` keeps exactly ``length``, also when all were added in one batch; it returns how many went.
    - T9 ``index_of`` an absent id raises an error that is a ``ValueError``.
    - T10 Two namespaces never see each other; two storages on the same one do. T11 What is returned is not aliased
      with the store.
    - T12 Hydrating a slice tolerates activities that are gone.
    - T13 All items of one call are checked and serialized before the first is sent: one bad item, nothing written. A
      server that fails midway may leave whole chunks of a call that is not atomic.
    - T14 A stored payload that cannot be decoded raises :class:`StoredDataError`, which names its id.
    - T15 ``flush`` empties its own namespace and nothing else.
    - T16 A walk by cursor returns exactly once every entry that is present throughout it and not older than the floor
      at its end.
    - T17 After ``add_to_many(…, max_length=n)`` the newest n are all there.

    A timeline knows what it has forgotten. Its floor is None while nothing was ever trimmed; else every entry that
    trimming dropped is older, and every entry at or above it that was added and not removed is present. It falls only
    by ``delete`` or ``flush``; entries that are added below it later are returned, and the page is not complete.

    Adds commute with adds; everything else takes effect in some one order.

    >>> from feedstore import Activity, connect
    >>> timelines = connect("memory://").timeline_storage()
    >>> like = Activity("ann", "like", "photo:7")
    >>> timelines.add_to_many(["feed:bob", "feed:eve"], [like], max_length=800)
    2
    >>> timelines.get_slice("feed:bob", 0, 25) == [like.reference]
    True
    """

    default_serializer_class: type[Serializer] = TimelineReferenceSerializer
