"""The tagged form of plain values: JSON that keeps every type."""

from __future__ import annotations

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.plain_values import plain_copy
from feedstore.shown import decimal_digits, shown

_EXACT_IN_JAVASCRIPT = 2**53 - 1
_MAP = "$map"
_DIGITS = re.compile(r"-?[0-9]+")


def to_tagged(value: Any) -> Any:
    """Return the JSON form of a plain value, from which :func:`from_tagged` makes the same value.

    A value that JSON lacks becomes an object of one item, such as ``{"$bytes": "aGk="}``; the tags are ``$bytes``,
    ``$datetime``, ``$date``, ``$decimal``, ``$uuid``, ``$float`` (NaN and infinities), ``$int`` (beyond 2**53 - 1,
    which JavaScript rounds) and ``$map`` (a dict with keys that are no strs, or with one key that begins with ``$``).

    Args:
        value: a plain value, such as an activity's extra context holds.

    >>> to_tagged({"price": Decimal("1.50"), "tags": ["a"]})
    {'price': {'$decimal': '1.50'}, 'tags': ['a']}
    """
    try:
        return _tagged(plain_copy(value, "value"))
    except RecursionError:
        raise InvalidValueError("value is nested too deeply for JSON") from None


def from_tagged(value: Any) -> Any:
    """Return the plain value of a tagged form.

    Raises:
        InvalidValueError: A tag is unknown, its text is no value of its type, or the form is nested too deeply.

    >>> from_tagged({"price": {"$decimal": "1.50"}})
    {'price': Decimal('1.50')}
    """
    try:
        return _untagged(value)
    except RecursionError:
        raise InvalidValueError("the tagged form is nested too deeply, or holds itself") from None


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = next(iter(value), "")
    if len(value) != 1 or not isinstance(tag, str) or not tag.startswith("$"):
        return {key: _untagged(item) for key, item in value.items()}
    content = value[tag]
    if tag == _MAP:
        return _map_of(content)
    if tag not in _READERS:
        raise InvalidValueError(f"the tag {shown(tag)} is unknown; the tags are {', '.join([*_READERS, _MAP])}")
    try:
        if not isinstance(content, str):
            raise InvalidTypeError(f"{shown(content)} is no str")
        return _READERS[tag](content)
    except (ValueError, ArithmeticError, InvalidTypeError):
        raise InvalidValueError(f"{shown(content)} is no value of the tag {tag}") from None


def _tagged(value: Any) -> Any:
    if isinstance(value, dict):
        is_plain = all(isinstance(key, str) for key in value)
        if is_plain and not (len(value) == 1 and next(iter(value)).startswith("$")):
            return {key: _tagged(item) for key, item in value.items()}
        return {_MAP: [[_tagged(key), _tagged(item)] for key, item in value.items()]}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT_IN_JAVASCRIPT else {"$int": decimal_digits(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": b64encode(value).decode()}
    if isinstance(value, date):
        return {"$datetime" if isinstance(value, datetime) else "$date": value.isoformat()}
    return {"$decimal" if isinstance(value, Decimal) else "$uuid": str(value)}


def _map_of(content: Any) -> dict[Any, Any]:
    if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        raise InvalidValueError(f"{shown(content)} is no list of pairs, which the tag {_MAP} holds")
    try:
        return {_untagged(key): _untagged(item) for key, item in content}
    except TypeError:
        raise InvalidValueError(f"{shown(content)} has a list or a dict as a key") from None


def _datetime_of(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.utcoffset() is None:
        raise InvalidValueError(f"the time {shown(text)} has no offset from UTC")
    return time


def _int_of(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise InvalidValueError(f"{shown(text)} is no int")
    # int() refuses more than 4,300 digits.
    return int(Decimal(text))


_READERS: dict[str, Callable[[str], Any]] = {
    "$bytes": lambda text: b64decode(text, validate=True),
    "$datetime": _datetime_of,
    "$date": date.fromisoformat,
    "$decimal": Decimal,
    "$uuid": UUID,
    "$float": float,
    "$int": _int_of,
}
