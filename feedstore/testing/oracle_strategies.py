"""Hypothesis strategies of the oracle: ids, keys, values, reads, writes, and bad input."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from feedstore.activity import Activity
from feedstore.errors import InvalidCursorError, InvalidTypeError, InvalidValueError
from feedstore.ids import MAX_ID
from feedstore.testing.kv_value_suite import VALUES
from feedstore.testing.samples import NEWEST_FIRST, OLDEST_FIRST, ids_of, of_one_millisecond, with_context, with_id

ITEM_NAMES = ("items", "items:*")
IDS = (0, 1, *range(5, 9), 2**53, 2**53 + 1, 2**63, 2**127, *ids_of(of_one_millisecond(5)), MAX_ID - 1, MAX_ID)
# The braces let companions be in one step with their timelines on a Cluster too (T22).
REFERENCE_KEYS = ("{r}", "{r}\0", "{R}%")
PAYLOAD_KEYS = ("{p}", "{p}*")
ITEM_KEYS = ("k", "k:1", "k:10", "k:1:a", "K", "k*", "k\0", "ä", "\uffff", "\U0010ffff")


class Call(NamedTuple):
    """A public call of one storage."""

    storage: str
    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


def call(storage: Any, name: str, *arguments: st.SearchStrategy[Any], **options: st.SearchStrategy[Any]) -> Any:
    """Draw a call with drawn arguments, of one storage or of a drawn one."""
    storages = st.just(storage) if isinstance(storage, str) else storage
    return st.builds(Call, storages, st.just(name), st.tuples(*arguments), st.fixed_dictionaries(options))


ids = st.sampled_from(IDS)
activities: st.SearchStrategy[Activity] = st.builds(with_id, ids, st.integers(0, 2))
many_ids = st.lists(ids, max_size=10)
many_activities = st.lists(activities, max_size=10)
# Most calls meet on one timeline of each kind; it holds its own kind of entries, so that payloads can be read.
reference_keys = st.sampled_from((*REFERENCE_KEYS[:1] * 3, *REFERENCE_KEYS[:2] * 2, *REFERENCE_KEYS, *PAYLOAD_KEYS))
payload_keys = st.sampled_from((*PAYLOAD_KEYS[:1] * 9, *PAYLOAD_KEYS, *REFERENCE_KEYS[:1]))
lengths = st.one_of(st.integers(0, 9), st.integers(4, 9), st.sampled_from((0, 0, 2**31, 2**63, 2**70)))
positions = st.one_of(st.none(), lengths)
limits = st.integers(1, 9)
filters = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from([f"activity_id__{one}" for one in ("lt", "lte", "gt", "gte")]), ids, max_size=3),
)
orderings = st.sampled_from((None, NEWEST_FIRST, OLDEST_FIRST))
item_names = st.sampled_from(ITEM_NAMES)
item_keys = st.sampled_from(ITEM_KEYS)
prefixes = st.sampled_from(("", *ITEM_KEYS, "k:", "kk", "\uffff"))
values = st.one_of(
    st.sampled_from([value for value in VALUES if len(repr(value)) < 200]),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.binary(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
        max_leaves=6,
    ),
)


def _timeline_writes(storage: str, keys: Any, max_lengths: Any, companions: Any) -> list[Any]:
    many_keys = st.lists(keys, max_size=4)
    deliveries = st.dictionaries(keys, many_activities, max_size=3)
    return [
        call(storage, "add_to_each", deliveries, max_length=max_lengths, companions=companions),
        *[call(storage, "add_many", keys, many_activities)] * 3,
        *[call(storage, "add_to_many", many_keys, many_activities, max_length=max_lengths)] * 4,
        call(storage, "remove_many", keys, many_ids),
        call(storage, "remove_from_many", many_keys, many_ids),
        *[call(storage, "trim", keys, lengths)] * 2,
        call(storage, "delete", keys),
    ]


def writes(exact_fan_out_length: bool, atomic_deliveries: bool) -> st.SearchStrategy[Call]:
    """Draw a write of any storage; fan-outs have a maximum length where the backend keeps it exactly, and companions
    where deliveries to them join batches.
    """
    max_lengths = st.one_of(st.none(), lengths.filter(bool)) if exact_fan_out_length else st.none()
    companions = st.sampled_from(((), ("+",), ("+", "-"))) if atomic_deliveries else st.just(())
    kinds = [
        *_timeline_writes("references", reference_keys, max_lengths, companions),
        *_timeline_writes("payloads", payload_keys, max_lengths, companions),
        *[call("activities", "add_many", many_activities)] * 3,
        call("activities", "remove_many", many_ids),
        *[call(item_names, "upsert", item_keys, values)] * 5,
        call(item_names, "delete", item_keys),
        call("named", "add_many", reference_keys, many_activities),
        call("named", "trim", reference_keys, lengths),
        call(st.sampled_from(("activities", "references", "named", *ITEM_NAMES)), "flush"),
    ]
    return st.one_of(kinds)


conditional_writes: st.SearchStrategy[Call] = call(item_names, "insert", item_keys, values)
"""Writes that only atomic batches take."""


def _timeline_reads(storage: str, keys: Any) -> list[Any]:
    return [
        *[call(storage, "get_slice", keys, positions, positions, filters, orderings)] * 4,
        *[call(storage, "get_many_slices", st.lists(keys, max_size=4), positions, positions, filters, orderings)] * 2,
        *[call(storage, "get_merged_page", st.lists(keys, max_size=4), limits, st.none(), filters, orderings)] * 2,
        call(storage, "index_of", keys, ids),
        call(storage, "contains", keys, ids),
        call(storage, "contains_many", keys, many_ids),
        call(storage, "count", keys, filters),
    ]


reads: st.SearchStrategy[Call] = st.one_of(
    *_timeline_reads("references", reference_keys),
    *_timeline_reads("payloads", payload_keys),
    *[call("payloads", "get_columns", payload_keys, limits, filters)] * 2,
    call("activities", "get", ids),
    call("activities", "get_many", many_ids),
    call("activities", "iterate", st.one_of(st.none(), ids), st.one_of(st.none(), ids), reverse=st.booleans()),
    call(item_names, "items", prefixes, after=st.one_of(st.none(), item_keys), reverse=st.booleans()),
    call(item_names, "fetch_one", item_keys),
    call(item_names, "get", item_keys),
    call(item_names, "exists", item_keys),
    call(item_names, "fetch_by_prefix", prefixes),
    call(item_names, "items", prefixes),
    call(item_names, "fetch_all"),
)
hydrated_reads: st.SearchStrategy[Call] = st.one_of(
    call("references", "get_slice", reference_keys, positions, positions, filters, orderings),
    call("payloads", "get_slice", payload_keys, positions, positions, filters, orderings),
    call(
        "references",
        "get_many_slices",
        st.lists(reference_keys, max_size=4),
        positions,
        positions,
        filters,
        orderings,
    ),
)
_OBJECT = object()
BAD_READS: tuple[tuple[Call, type[Exception]], ...] = (
    (Call("references", "get_slice", ("r", -1, 5), {}), InvalidValueError),
    (Call("references", "get_slice", ("r", 0, 5, {"activity_id__ne": 5}), {}), InvalidValueError),
    (Call("references", "get_slice", ("r", 0, 5, None, ("time",)), {}), InvalidValueError),
    (Call("payloads", "get_page", ("p", 0), {}), InvalidValueError),
    (Call("payloads", "get_page", ("p", 5, "altered"), {}), InvalidCursorError),
    (Call("payloads", "get_many_slices", ("p", 0, 5), {}), InvalidTypeError),
    (Call("references", "index_of", ("r", -1), {}), InvalidValueError),
    (Call("references", "count", ("",), {}), InvalidValueError),
    (Call("activities", "get_many", ([1, MAX_ID + 1],), {}), InvalidValueError),
    (Call("items", "fetch_one", ("\ud800",), {}), InvalidValueError),
)
BAD_WRITES: tuple[tuple[Call, type[Exception]], ...] = (
    (Call("references", "add_many", ("r", [5, _OBJECT]), {}), InvalidTypeError),
    (Call("references", "add_to_many", (["r", ""], [5]), {}), InvalidValueError),
    (Call("references", "add_to_many", (["r"], [5]), {"max_length": -1}), InvalidValueError),
    (Call("references", "trim", ("r", -1), {}), InvalidValueError),
    (Call("payloads", "add_many", ("p", [with_id(5), 5]), {}), InvalidTypeError),
    (Call("payloads", "remove_many", ("p", [5, MAX_ID + 1]), {}), InvalidValueError),
    (Call("activities", "add_many", ([with_id(5), with_context({"note": {1, 2}})],), {}), InvalidTypeError),
    (Call("activities", "remove_many", ([5, None],), {}), InvalidTypeError),
    (Call("items", "upsert", ("k", {1, 2}), {}), InvalidTypeError),
    (Call("items", "delete", ("x" * 1025,), {}), InvalidValueError),
)
bad_reads = st.sampled_from(BAD_READS)
bad_writes = st.sampled_from(BAD_WRITES)
