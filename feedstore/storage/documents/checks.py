"""Checks of the arguments of document storages. Each returns the argument in the form that the hooks take."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, cast

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown
from feedstore.storage.checks import check_key, check_position, checked_iterable
from feedstore.storage.documents.hooks import DocumentRow, ParsedRow, RsmPage
from feedstore.storage.documents.query import (
    OPERATORS,
    ORDERS,
    Condition,
    DocumentFilter,
    DocumentQuery,
    Order,
    check_results,
)
from feedstore.storage.documents.values import NewDocument, NodeFields, NodeKey, ParsedDocument, PathKind, SyncState
from feedstore.storage.documents.words import parse_text_query, words_of

MAX_PAYLOAD_BYTES = 16 << 20
MAX_PARSED_BYTES = 4 << 20
DEEPEST_PARSED = 100
MAX_NODE_KEY_BYTES = 2560
MOST_VALUES = 1000
MOST_STEPS = 16
LONGEST_STEP = 255
LONGEST_VALUE = 500
MOST_TEXT_BYTES = 64 << 10
"""The greatest length of a publisher or reason."""
_INTEGERS = 2**63
_MOST_PARTS = 20
_HARD_IN_PATHS = re.compile(r'["\\\x00-\x1f\x7f]')
_COMPARISONS = {"eq", "ne", "gt", "ge", "lt", "le"}
_LISTS = {"in", "not_in", "overlap", "ioverlap", "disjoint", "idisjoint"}
_PATTERNS = {"like", "ilike", "not_like", "not_ilike"}


def check_text(value: Any, what: str) -> str:
    """Return a str of 1 to 1,024 bytes in UTF-8, without NUL, or raise an error that names ``what``."""
    return _without_nul(check_key(value, what), what)


def check_long_text(value: Any, what: str) -> str:
    """Return a str as :func:`check_text` does, of up to :data:`MOST_TEXT_BYTES`."""
    if not isinstance(value, str) or not value:
        return check_key(value, what)
    size = len(_without_nul(value, what).encode())
    if size > MOST_TEXT_BYTES:
        raise InvalidValueError(f"the {what} has {size} bytes in UTF-8; pass at most {MOST_TEXT_BYTES}")
    return value


def _without_nul(value: str, what: str) -> str:
    if "\0" in value:
        raise InvalidValueError(f"the {what} {shown(value, 40)} holds NUL, which PostgreSQL cannot keep; leave it out")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(f"the {what} {shown(value, 40)} holds a lone surrogate; pass valid Unicode") from None
    return value


def check_item_id(value: Any) -> str:
    """Return the id of a document."""
    return check_text(value, "item id")


def check_node_key(key: Any) -> NodeKey:
    """Return the key of a node, or raise for a wrong type, part or length."""
    if not isinstance(key, NodeKey):
        raise InvalidTypeError(f"the key of a node must be a NodeKey(account, service, name), not {shown(key)}")
    for part, name in zip(key, ("account", "service", "name of a node"), strict=True):
        check_text(part, name)
    size = sum(len(part.encode()) for part in key)
    if size > MAX_NODE_KEY_BYTES:
        raise InvalidValueError(
            f"account, service and name of the node have {size} bytes in UTF-8; pass at most {MAX_NODE_KEY_BYTES}"
        )
    return key


def check_time(value: Any, what: str) -> datetime:
    """Return an aware datetime in UTC."""
    if not isinstance(value, datetime):
        raise InvalidTypeError(f"{what} must be a datetime, not {shown(value)} of type {type(value).__name__}")
    if value.utcoffset() is None:
        raise InvalidValueError(f"{what} is {shown(value)}, which has no time zone; pass an aware datetime")
    try:
        return value.astimezone(timezone.utc)
    except OverflowError:
        raise InvalidValueError(f"{what} is {shown(value)}, which UTC cannot hold; pass years 1 to 9999") from None


def check_states(states: Any) -> frozenset[SyncState | None]:
    """Return the states of an iterable of states and None."""
    found = list(checked_iterable(states))
    for state in found:
        if state is not None and not isinstance(state, SyncState):
            raise InvalidTypeError(f"a state must be a SyncState or None, not {shown(state)}")
    return frozenset(found)


def check_node_fields(given: Mapping[str, Any], *, sets_state_time: bool = False) -> NodeFields:
    """Return the fields of a node in the form of the hooks: states and times checked, ``extra`` as a plain dict.

    With ``sets_state_time`` a state without its time gets the present.
    """
    known = NodeFields.__annotations__
    for name in given:
        if name not in known:
            raise InvalidTypeError(f"a node has no field {shown(name)}; the fields are {', '.join(known)}")
    checked = dict(given)
    for name, value in given.items():
        if name == "subscribed":
            checked[name] = bool(value)
        elif value is None:
            continue
        elif name == "sync_state":
            (checked[name],) = check_states([value])
        elif name == "sync_state_updated":
            check_time(value, name)
        elif name == "extra":
            checked[name] = json.loads(object_json(value, "the extra object of a node"))
        else:
            (check_long_text if name == "sync_reason" else check_text)(value, name)
    if sets_state_time or checked.get("sync_state") is not None:
        _set_state_time(checked)
    return cast(NodeFields, checked)


def _set_state_time(fields_of_node: dict[str, Any]) -> None:
    if "sync_state" in fields_of_node and "sync_state_updated" not in fields_of_node:
        fields_of_node["sync_state_updated"] = datetime.now().astimezone()


def check_new_document(document: Any) -> DocumentRow:
    """Return the row of a new document."""
    if not isinstance(document, NewDocument):
        raise InvalidTypeError(f"a document to store must be a NewDocument, not {shown(document)}")
    item_id = check_item_id(document.item_id)
    payload = document.payload
    if not isinstance(payload, bytes):
        raise InvalidTypeError(
            f"the payload of {shown(item_id)} must be bytes, not {shown(payload)} of type {type(payload).__name__}"
        )
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise InvalidValueError(
            f"the payload of {shown(item_id)} has {len(payload)} bytes; pass at most {MAX_PAYLOAD_BYTES}"
        )
    publisher = None if document.publisher is None else check_long_text(document.publisher, "publisher")
    created = None if document.created is None else check_time(document.created, "created")
    updated = None if document.updated is None else check_time(document.updated, "updated")
    parsed, words = _content(item_id, document.parsed, document.text)
    return DocumentRow(item_id, payload, publisher, parsed, words, created, updated)


def check_parsed_document(document: Any) -> ParsedRow:
    """Return the row of a document's new content."""
    if not isinstance(document, ParsedDocument):
        raise InvalidTypeError(f"new content must be a ParsedDocument, not {shown(document)}")
    item_id = check_item_id(document.item_id)
    updated = check_time(document.updated, "updated")
    return ParsedRow(item_id, updated, *_content(item_id, document.parsed, document.text))


def _content(item_id: str, parsed: Any, text: Any) -> tuple[str | None, tuple[str, ...]]:
    if not isinstance(text, str):
        raise InvalidTypeError(f"the text of {shown(item_id)} must be a str, not {type(text).__name__}")
    written = None if parsed is None else object_json(parsed, f"the parsed content of {shown(item_id)}")
    return written, words_of(text)


def object_json(value: Any, what: str) -> str:
    """Return the JSON of an object whose values every store keeps, or raise an error that names ``what``."""
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"{what} must be a dict, not {shown(value)} of type {type(value).__name__}")
    text = json.dumps(_plain_json(value, what, DEEPEST_PARSED), ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    if size > MAX_PARSED_BYTES:
        raise InvalidValueError(f"{what} has {size} bytes of JSON; pass at most {MAX_PARSED_BYTES}")
    return text


def _plain_json(value: Any, what: str, levels: int) -> Any:
    kind = value.__class__
    if value is None or kind is bool:
        return value
    if not levels:
        raise InvalidValueError(f"{what} is nested more than {DEEPEST_PARSED} levels deep")
    if isinstance(value, str):
        return _without_nul(str(value), f"str in {what}")
    if isinstance(value, int):
        if not -_INTEGERS <= value < _INTEGERS:
            raise InvalidValueError(f"{what} holds the int {shown(value)}, which has more than 64 bits; pass a str")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValueError(f"{what} holds {value}, which JSON cannot write; pass None or a str")
        return float(value)
    if isinstance(value, Mapping):
        return {_json_key(name, what): _plain_json(item, what, levels - 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_json(item, what, levels - 1) for item in value]
    raise InvalidTypeError(
        f"{what} holds {shown(value)} of type {type(value).__name__}; pass None, bool, int, float, str, list or dict"
    )


def _json_key(name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise InvalidTypeError(f"{what} has the key {shown(name)} of type {type(name).__name__}; pass str keys")
    return _without_nul(str(name), f"key in {what}")


def check_rsm(order_by: Any, limit: Any, after: Any, before: Any, index: Any) -> RsmPage:
    """Return the request of a page."""
    if order_by not in ORDERS[:3]:
        raise InvalidValueError(f"order_by is {shown(order_by)}; pass {', '.join(ORDERS[:3])}")
    if sum(one is not None for one in (after, before, index)) > 1:
        raise InvalidValueError("after, before and index exclude each other; pass one of them")
    return RsmPage(
        order_by,
        check_position("limit", limit) and check_results("limit", limit),
        None if after is None else check_item_id(after),
        None if before is None or before == "" else check_item_id(before),
        0 if index is None else min(check_position("index", index), _INTEGERS - 1),
        before == "",
    )


def check_path(path: Any) -> tuple[str | int, ...]:
    """Return the steps of a path in parsed documents."""
    steps = (path,) if isinstance(path, str) else path
    if not isinstance(steps, Sequence) or isinstance(steps, (bytes, bytearray)):
        raise InvalidTypeError(f"a path must be a str or a list of keys and positions, not {shown(path)}")
    if not 1 <= len(steps) <= MOST_STEPS:
        raise InvalidValueError(f"the path {shown(path)} has {len(steps)} steps; pass 1 to {MOST_STEPS}")
    return tuple(_step(step, path) for step in steps)


def _step(step: Any, path: Any) -> str | int:
    if isinstance(step, int) and not isinstance(step, bool):
        if not 0 <= step < 2**31:
            raise InvalidValueError(f"the path {shown(path)} has the position {shown(step)}; pass 0 to 2147483647")
        return int(step)
    if not isinstance(step, str):
        raise InvalidTypeError(f"a step of a path must be a str or an int, not {shown(step)}")
    _without_nul(step, "step of a path")
    if not 1 <= len(step) <= LONGEST_STEP or _HARD_IN_PATHS.search(step):
        raise InvalidValueError(
            f"the key {shown(step)} cannot be searched; keys in paths have 1 to {LONGEST_STEP} characters without "
            "quotation marks, backslashes and control characters"
        )
    return str(step)


def check_path_kind(kind: Any) -> PathKind:
    """Return the kind of an index on a path."""
    try:
        return PathKind(kind)
    except ValueError:
        raise InvalidValueError(f"the kind of an index is {shown(kind)}; pass 'number' or 'text'") from None


def check_filter(where: Any, *, for_nodes: bool = False) -> DocumentFilter:
    """Return a filter with lists of checked strs. None is the filter without fields."""
    if where is None:
        return DocumentFilter()
    if not isinstance(where, DocumentFilter):
        raise InvalidTypeError(f"a filter must be a DocumentFilter, not {shown(where)}")
    checked: dict[str, Any] = {}
    for name in ("accounts", "services", "nodes", "types", "subtypes"):
        values = getattr(where, name)
        if values is not None:
            checked[name] = _names(values, name, may_be_none=name.endswith("types"))
    for name in ("created_before", "updated_before"):
        time = getattr(where, name)
        if time is not None and for_nodes:
            raise InvalidValueError(f"{name} concerns documents; this call takes a filter of nodes without it")
        if time is not None:
            check_time(time, name)
    return replace(where, **checked)


def _names(values: Iterable[Any], what: str, may_be_none: bool = False) -> tuple[Any, ...]:
    found = {
        None if value is None and may_be_none else check_text(value, f"value in {what}"): None
        for value in checked_iterable(values)
    }
    if len(found) > MOST_VALUES:
        raise InvalidValueError(f"{what} has {len(found)} values; pass at most {MOST_VALUES}")
    return tuple(found)


def check_query(query: Any) -> DocumentQuery:
    """Return a query with checked fields. Its conditions and orders have canonical operators, paths and values."""
    if not isinstance(query, DocumentQuery):
        raise InvalidTypeError(f"a search takes a DocumentQuery, not {shown(query)}")
    checked = cast(DocumentQuery, check_filter(query))
    if query.text is not None:
        parse_text_query(query.text)
    conditions = tuple(_condition(one) for one in checked_iterable(query.conditions))
    orders = tuple(_order(one, query.text is not None) for one in checked_iterable(query.order_by))
    for noun, number in (("conditions", len(conditions)), ("orders", len(orders))):
        if number > _MOST_PARTS:
            raise InvalidValueError(f"the query has {number} {noun}; pass at most {_MOST_PARTS}")
    if query.cursor is not None and query.index:
        raise InvalidValueError("cursor and index exclude each other; pass one of them")
    return replace(
        checked,
        item_ids=None if query.item_ids is None else _names(query.item_ids, "item_ids"),
        conditions=conditions,
        order_by=orders,
        index=min(check_position("index", query.index), _INTEGERS - 1),
        limit=check_results("limit", query.limit),
    )


def _order(order: Any, has_text: bool) -> Order:
    if not isinstance(order, Order):
        raise InvalidTypeError(f"an order must be an Order, not {shown(order)}")
    direction = order.direction.lower() if isinstance(order.direction, str) else order.direction
    if direction not in ("asc", "desc"):
        raise InvalidValueError(f"the direction of an order is {shown(order.direction)}; pass 'asc' or 'desc'")
    if (order.by is None) == (order.path is None):
        raise InvalidValueError("an order is either by one of the names or by a path; pass one of the two")
    if order.path is not None:
        return Order(path=check_path(order.path), direction=direction)
    if order.by not in ORDERS:
        raise InvalidValueError(f"the order {shown(order.by)} is unknown; the orders are {', '.join(ORDERS)}")
    if order.by == "rank" and not has_text:
        raise InvalidValueError("the order 'rank' needs the text of a full-text query; pass text=")
    return Order(order.by, direction=direction)


def _condition(condition: Any) -> Condition:
    if not isinstance(condition, Condition):
        raise InvalidTypeError(f"a condition must be a Condition(path, op, value), not {shown(condition)}")
    path = check_path(condition.path)
    name = OPERATORS.get(condition.op) if isinstance(condition.op, str) else None
    if name is None:
        raise InvalidValueError(
            f"the operator {shown(condition.op)} is unknown; the operators are {', '.join(OPERATORS)}"
        )
    value = condition.value
    if name in _PATTERNS:
        if not isinstance(value, str):
            raise InvalidTypeError(f"the operator {name} takes a pattern of type str, not {shown(value)}")
        return Condition(path, name, _comparable(value, name))
    if name in _COMPARISONS:
        _comparable(value, name)
        if name not in ("eq", "ne") and (value is None or isinstance(value, bool)):
            raise InvalidValueError(f"the operator {name} takes a number or a str, not {shown(value)}")
        return Condition(path, name, value)
    values = tuple(_comparable(one, name) for one in checked_iterable(value))
    if name == "between":
        return Condition(path, name, _bounds(values))
    if len(values) > MOST_VALUES:
        raise InvalidValueError(f"the operator {name} has {len(values)} values; pass at most {MOST_VALUES}")
    return Condition(path, name, values)


def _bounds(values: tuple[Any, ...]) -> tuple[Any, ...]:
    is_number = [isinstance(one, (int, float)) and not isinstance(one, bool) for one in values]
    is_text = [isinstance(one, str) for one in values]
    if len(values) != 2 or not (all(is_number) or all(is_text)):
        raise InvalidValueError(f"the operator between takes two numbers or two strs, not {shown(values)}")
    return values


def _comparable(value: Any, name: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > LONGEST_VALUE:
            raise InvalidValueError(
                f"a str of the operator {name} has {len(value)} characters; pass at most {LONGEST_VALUE}"
            )
        return _without_nul(str(value), f"str of the operator {name}")
    if isinstance(value, int) and -_INTEGERS <= value < _INTEGERS:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (int, float)):
        raise InvalidValueError(f"the operator {name} takes finite numbers and ints of 64 bits, not {shown(value)}")
    raise InvalidTypeError(
        f"the operator {name} compares None, bool, numbers and strs, not {shown(value)} of type {type(value).__name__}"
    )
