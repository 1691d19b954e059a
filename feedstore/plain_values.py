"""Plain values, the content of extra contexts, items and messages, and their form in JSON.

None, bool, int, float, str, bytes, list, dict, aware datetime, date, Decimal and UUID keep their type. A tuple becomes
a list, and a member of a str- or int-enumeration becomes its value.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from feedstore.errors import FeedstoreError, InvalidTypeError, InvalidValueError
from feedstore.read_only import ReadOnlyDict, ReadOnlyList
from feedstore.shown import decimal_digits, shown

PLAIN_TYPES = (
    "None, bool, int, float, str, bytes, list, tuple, dict, aware datetime, date, Decimal, UUID, str- and int-enums"
)
DEEPEST = 500
_UNCHANGED = frozenset({type(None), bool, int, float, bytes, date, Decimal, UUID})
_LISTS = frozenset({list, tuple, ReadOnlyList})
_DICTS = frozenset({dict, ReadOnlyDict})
_ADVICE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((set, frozenset), "sorted(value) or list(value)"),
    ((bytearray, memoryview, bytes), "bytes(value)"),
    (Mapping, "dict(value)"),
    (timedelta, "value.total_seconds()"),
    (Enum, "value.name"),
    (datetime, "datetime.fromisoformat(value.isoformat())"),
    (date, "date.fromisoformat(value.isoformat())"),
    (UUID, "UUID(int=value.int)"),
    (Decimal, "Decimal(value)"),
    (str, "str(value)"),
    (int, "int(value)"),
    (float, "float(value)"),
    ((list, tuple), "list(value)"),
)
_LARGEST_NUMBER = 10**1000
_LONGEST_PATH = 160


def plain_copy(value: Any, name: str) -> Any:
    """Return a copy of ``value`` with plain values only; tuples and members of enumerations are converted.

    Raises:
        InvalidTypeError: For a value of another type. The message begins with ``name`` and the path to the value, and
            says how to convert it.
        InvalidValueError: For a naive datetime, a lone surrogate, or more than 500 levels.
    """
    try:
        return _copied(value, DEEPEST)
    except (InvalidTypeError, InvalidValueError) as error:
        raise _naming_the_path(value, name, error) from None
    except RecursionError:
        raise InvalidValueError(f"{name} is nested too deeply, or holds itself") from None


def plain_value(value: Any, exact_integers: int | None = None) -> Any:
    """Return a value in types of JSON: times as ISO 8601, bytes as base64, NaN, infinities, Decimals and UUIDs as strs.

    Integers beyond ``exact_integers`` become strs of decimal digits, because JavaScript rounds those beyond 2**53 - 1.
    Integers of more than 1,000 digits always become strs, because Python's own reader refuses more than 4,300 digits.
    """
    if isinstance(value, dict):
        return {_name_of(key): plain_value(item, exact_integers) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item, exact_integers) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, (Decimal, UUID)) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    if isinstance(value, int) and abs(value) > (_LARGEST_NUMBER if exact_integers is None else exact_integers):
        return decimal_digits(value)
    return value


def finite_number(text: str) -> float:
    """Return the float of a number in JSON.

    Raises:
        InvalidValueError: The number is too large for a float, such as ``1e999``, of which ``float`` makes an infinity.
    """
    number = float(text)
    if math.isinf(number):
        raise InvalidValueError(f"the number {shown(text, 40)} is too large for a float; write it as a str")
    return number


def _name_of(key: Any) -> str:
    return decimal_digits(key) if type(key) is int else str(plain_value(key))


def _copied(value: Any, levels: int) -> Any:
    kind = value.__class__
    if kind is str:
        return value if value.isascii() else _encodable(value)
    if kind in _UNCHANGED:
        return value
    if kind in _DICTS or kind in _LISTS:
        if levels <= 0:
            raise InvalidValueError(f"is nested more than {DEEPEST} levels deep, or holds itself")
        # Loops, because a comprehension costs a second frame of Python's stack for each level before Python 3.12.
        if kind in _LISTS:
            items: list[Any] = []
            for item in value:
                items.append(_copied(item, levels - 1))  # noqa: PERF401
            return items
        copied: dict[Any, Any] = {}
        for key, item in value.items():
            copied[_copied_key(key)] = _copied(item, levels - 1)
        if len(copied) != len(value):
            raise InvalidValueError("has two keys that are equal once members of enumerations become their values")
        return copied
    return _converted(value)


def _copied_key(key: Any) -> Any:
    if key.__class__ is str and key.isascii():
        return key
    if key.__class__ in _LISTS or key.__class__ in _DICTS:
        raise InvalidTypeError(f"has the key {shown(key)} of type {type(key).__name__}; a key must be a single value")
    return _copied(key, 0)


def _converted(value: Any) -> Any:
    if type(value) is datetime:
        if value.utcoffset() is None:
            raise InvalidValueError(f"is the time {shown(value)} without a timezone; pass an aware datetime")
        return value
    if isinstance(value, Enum) and isinstance(value.value, (str, int)) and not isinstance(value.value, Enum):
        return _copied(value.value, 0)
    raise InvalidTypeError(
        f"is {shown(value)} of type {type(value).__name__}{_advice(value)}; plain values are {PLAIN_TYPES}"
    )


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(f"is {shown(text)}, which holds a lone surrogate that UTF-8 cannot carry") from None
    return text


def _advice(value: object) -> str:
    """Return the advice how to convert a value that cannot be stored."""
    advice = next((expression for kinds, expression in _ADVICE if isinstance(value, kinds)), None)
    if advice is None and is_dataclass(value) and not isinstance(value, type):
        advice = "dataclasses.asdict(value)"
    # Integers of numpy, for example, are no subclass of int.
    if advice is None and hasattr(type(value), "__index__"):
        advice = "int(value)"
    return f": pass {advice or 'str(value) or a field of it'}"


def _naming_the_path(value: Any, name: str, error: FeedstoreError) -> FeedstoreError:
    """Return the error for the value inside ``value`` that cannot be stored, beginning with its path."""
    path, item, levels = path_to_fault(value, name, _is_faulty)
    try:
        _copied(item, levels)
    except (InvalidTypeError, InvalidValueError) as own:
        return type(own)(f"{path} {own}")
    except RecursionError:
        return InvalidValueError(f"{path} is nested too deeply, or holds itself")
    return type(error)(f"{path} {error}")


def path_to_fault(value: Any, name: str, is_faulty: Callable[[Any, int], bool]) -> tuple[str, Any, int]:
    """Return the path to the innermost faulty value inside ``value``, the value, and the levels that it may have.

    Args:
        value: a faulty value.
        name: the beginning of the path.
        is_faulty: returns whether a value is faulty, or holds a faulty one, within a number of levels.
    """
    path, item, levels = name, value, DEEPEST
    while levels > 0:
        found = next(((key, part) for key, part in _parts_of(item) if is_faulty(part, levels - 1)), None)
        if found is None:
            break
        levels -= 1
        path, item = f"{path}[{shown(found[0], 40)}]", found[1]
    if len(path) > _LONGEST_PATH:
        path = f"{path[: _LONGEST_PATH // 2]}…{path[-_LONGEST_PATH // 2 :]}"
    return path, item, levels


def _is_faulty(value: Any, levels: int) -> bool:
    try:
        _copied(value, levels)
    except (InvalidTypeError, InvalidValueError, RecursionError):
        return True
    return False


def _parts_of(value: Any) -> Iterator[tuple[Any, Any]]:
    if value.__class__ in _DICTS:
        yield from value.items()
    elif value.__class__ in _LISTS:
        yield from enumerate(value)
