"""Every public call of a backend and its storages, with arguments that each of them accepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feedstore.serializers import MsgpackSerializer
from feedstore.testing.samples import make_activity

Calls = dict[str, tuple[Any, ...]]

_ACTIVITY = make_activity()

ACTIVITY_CALLS: Calls = {
    "add": (_ACTIVITY,),
    "add_many": ([_ACTIVITY],),
    "add_bodies": ({_ACTIVITY.serialization_id: MsgpackSerializer().dumps(_ACTIVITY)},),
    "get": (_ACTIVITY,),
    "get_many": ([_ACTIVITY],),
    "remove": (_ACTIVITY,),
    "remove_many": ([_ACTIVITY],),
    "iterate": (),
    "flush": (),
}
TIMELINE_CALLS: Calls = {
    "add": ("key", _ACTIVITY),
    "add_many": ("key", [_ACTIVITY]),
    "add_to_many": (["key"], [_ACTIVITY]),
    "add_to_each": ({"key": [_ACTIVITY]},),
    "get_slice": ("key", 0, 5),
    "get_page": ("key", 5),
    "get_columns": ("key", 5),
    "get_many_slices": (["key"], 0, 5),
    "get_many_pages": (["key"], 5),
    "get_merged_page": (["key"], 5),
    "index_of": ("key", _ACTIVITY),
    "contains": ("key", _ACTIVITY),
    "contains_many": ("key", [_ACTIVITY]),
    "count": ("key",),
    "keys": (),
    "trim": ("key", 5),
    "remove": ("key", _ACTIVITY),
    "remove_many": ("key", [_ACTIVITY]),
    "remove_from_many": (["key"], [_ACTIVITY]),
    "delete": ("key",),
    "flush": (),
}
KV_CALLS: Calls = {
    "upsert": ("key", 1),
    "fetch_one": ("key",),
    "get": ("key",),
    "exists": ("key",),
    "fetch_many": (["key"],),
    "fetch_by_prefix": ("",),
    "fetch_all": (),
    "items": (),
    "keys": (),
    "delete": ("key",),
    "delete_by_prefix": ("ke",),
    "flush": (),
}
CONDITIONAL_CALLS: Calls = {
    "insert": ("key", 1),
    "replace": ("key", 1, 2),
    "require": ("key", 1),
    "require_absent": ("key",),
}
"""The calls of a key-value storage that need an ability, or an atomic batch."""
BACKEND_CALLS: Calls = {"ping": (), "with_namespace": ("other",)}
WRITES = {
    "add",
    "add_many",
    "add_bodies",
    "add_to_many",
    "add_to_each",
    "remove",
    "remove_many",
    "remove_from_many",
    "trim",
    "delete",
    "flush",
    "upsert",
    "delete_by_prefix",
}
"""The names of the calls that take ``batch_interface=``."""


def call(target: Any, name: str, arguments: tuple[Any, ...], **options: Any) -> Any:
    """Call a public method and return its result; an iterator is read to its end."""
    result = getattr(target, name)(*arguments, **options)
    return list(result) if isinstance(result, Iterator) else result
