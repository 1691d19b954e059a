"""The timeline storage's contract."""

from __future__ import annotations

from feedstore.serializers import Serializer, TimelineReferenceSerializer
from feedstore.storage.timeline_hooks import TimelineItem
from feedstore.storage.timeline_reads import TimelineReads
from feedstore.storage.timeline_writes import TimelineWrites


class TimelineStorage(TimelineReads[TimelineItem], TimelineWrites[TimelineItem]):
    """A storage of timelines: for each key, entries in the order of their ids, newest first.

    An entry is an id, and a payload if the serializer returns one. With the default serializer,
    :class:`~feedstore.serializers.TimelineReferenceSerializer`, entries have no payloads, and slices are hydrated from
    an activity storage. A key is a str of 1 to 1,024 bytes in UTF-8, of any characters. An argument that names an entry
    may be an activity, an :class:`~feedstore.activity.ActivityRef`, an int, a UUID or the str of a UUID.

    The numbered rules of the contract:

    - T1 Adding returns the number of newly stored ids. Adding an existing id replaces its payload and counts 0. If a
      call holds an id twice, the last value wins. Removing returns the number of ids that existed. ``add_to_many``
      counts deliveries, before trimming.
    - T2 Ids are returned as ints.
    - T3 Ids of one millisecond keep their order. Filters are exact, also at 0 and at 2**128 - 1.
    - T4 No call changes its arguments.
    - T5 Each filter, ordering and option is honoured or refused, never ignored.
    - T6 A negative start, stop or length raises a ``ValueError``.
    - T7 Slices are those of a Python list.
    - T8 ``trim`` keeps exactly ``length`` entries, also if one batch added them all. It returns the number of removed
      entries.
    - T9 ``index_of`` of an absent id raises a ``ValueError``.
    - T10 Two namespaces share no data. Two storages in one namespace share all data.
    - T11 Each call returns its own copy of every mutable object.
    - T12 A hydrated slice leaves out removed activities.
    - T13 A call checks and serializes all items before it sends the first. If the server fails during a call that is
      not atomic, some chunks of the call may be stored.
    - T14 A stored payload that cannot be decoded raises :class:`StoredDataError`, which names its id.
    - T15 ``flush`` empties only its own namespace.
    - T16 A walk by cursor returns every entry exactly once that is present during the whole walk and not older than the
      floor at its end.
    - T17 After ``add_to_many(…, max_length=n)`` a timeline holds all of its newest n entries.

    The floor of a timeline is None if it was never trimmed. Otherwise every trimmed entry is older than the floor, and
    every entry at or above it that was added and not removed is present. Only ``delete`` and ``flush`` lower a floor.
    Entries that are added below it later are returned, and the page is not complete.

    Concurrent adds commute. All other writes take effect one after the other, in some order.

    >>> from feedstore import Activity, connect
    >>> timelines = connect("memory://").timeline_storage()
    >>> like = Activity("ann", "like", "photo:7")
    >>> timelines.add_to_many(["feed:bob", "feed:eve"], [like], max_length=800)
    2
    >>> timelines.get_slice("feed:bob", 0, 25) == [like.reference]
    True
    """

    default_serializer_class: type[Serializer] = TimelineReferenceSerializer
