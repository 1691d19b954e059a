"""The contract of the values that key-value storages keep."""

from __future__ import annotations

import enum
from collections import OrderedDict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from feedstore.storage import KvStorage
from feedstore.storage.backend import backend_of
from feedstore.testing.samples import START
from feedstore.testing.suite import Suite

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    127,
    128,
    -(2**63),
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    10**100,
    -(10**100),
    0.0,
    -0.0,
    1.0,
    1e308,
    5e-324,
    float("inf"),
    float("-inf"),
    "",
    "text",
    "\0",
    "ä中\U0001f600\uffff",
    b"",
    b"bytes",
    bytes(range(256)),
    [],
    [1, "two", b"three", [4.0, None, [True]]],
    {},
    {"one": 1, "two": {"three": [3, {"four": b"4"}]}},
    {1: "int", None: "none", b"b": "bytes", "": "empty", 1.5: "float"},
    START,
    START.astimezone(timezone(timedelta(hours=5, minutes=45))),
    START.astimezone(timezone(-timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999))),
    datetime(1, 1, 1, tzinfo=timezone.utc),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(-timedelta(hours=12))),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),
    {"times": [START, {START: "key"}]},
    date(2026, 1, 31),
    date.min,
    date.max,
    Decimal("1.50"),
    Decimal("-0"),
    Decimal("1E+400"),
    Decimal("Infinity"),
    Decimal(10) ** 5000 + 1,
    UUID(int=0),
    UUID(int=2**128 - 1),
    {UUID(int=7): [Decimal(1), {date(2026, 1, 1): UUID(int=8)}]},
    "x" * 300_000,
    list(range(70_000)),
)
"""Values that must come back equal, and of the type that they went in."""


class _Colour(enum.IntEnum):
    RED = 1


class _Word(str, enum.Enum):  # noqa: UP042 - applications have both kinds
    YES = "yes"


class _Size(enum.Enum):
    SMALL = 1.5


class _Name(str):
    __slots__ = ()


CONVERTED: tuple[tuple[Any, Any], ...] = (
    ((1, 2), [1, 2]),
    ((), []),
    ({"a": ((1,), {"b": (2,)})}, {"a": [[1], {"b": [2]}]}),
    (_Colour.RED, 1),
    ([_Word.YES, {_Word.YES: _Colour.RED}], ["yes", {"yes": 1}]),
)
"""Values that come back as another one, as K6 says."""


REFUSED_TYPES: tuple[Any, ...] = (
    {1, 2},
    frozenset(),
    bytearray(b"a"),
    memoryview(b"a"),
    1j,
    timedelta(1),
    object(),
    OrderedDict(a=1),
    _Size.SMALL,
    _Name("text"),
    range(3),
    len,
    Exception("error"),
)
"""Values of types that would not come back as they went in."""


class KvValueSuite(Suite):
    """K6: which values are stored, and how they come back."""

    def test_all_values_come_back_as_the_types_they_went_in(self, kv: KvStorage) -> None:
        """K6: from every way of reading."""
        given = {f"{number:03}": value for number, value in enumerate(VALUES)}
        for key, value in given.items():
            kv.upsert(key, value)
        for read in (
            {key: kv.fetch_one(key) for key in given},
            dict(kv.fetch_many(given)),
            dict(kv.items()),
            dict(zip(given, kv.fetch_all(), strict=True)),
        ):
            same(read, given)

    def test_not_a_number_comes_back(self, kv: KvStorage) -> None:
        """K6: a NaN is a float like any other, but for equality."""
        kv.upsert("key", float("nan"))
        found = kv.fetch_one("key")
        assert type(found) is float
        assert found != found

    def test_nesting_comes_back_as_deep_as_it_is_taken(self, kv: KvStorage) -> None:
        """K6: every accepted value can be read again."""
        for depth in (100, 500):
            value: Any = "bottom"
            for _ in range(depth):
                value = [value]
            kv.upsert("key", value)
            found = kv.fetch_one("key")
            for _ in range(depth):
                (found,) = found
            assert found == "bottom"

    def test_value_what_comes_back_is_not_what_is_stored(self, kv: KvStorage) -> None:
        """T4, T11: changing an argument or a result changes no stored data."""
        value = {"list": [1]}
        kv.upsert("key", value)
        assert value == {"list": [1]}
        value["list"].append(2)
        kv.fetch_one("key")["list"].append(3)
        next(kv.fetch_all())["list"].append(4)
        assert kv.fetch_one("key") == {"list": [1]}


class KvCodecSuite(Suite):
    """K6: the codec, value by value. It works before a store gets the bytes."""

    @pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
    def test_a_value_comes_back_as_the_type_it_went_in(self, kv: KvStorage, value: Any) -> None:
        """K6: from every way of reading, and inside a list and a dictionary."""
        kv.upsert("key", value)
        kv.upsert("nested", {"list": [value]})
        same(kv.fetch_one("key"), value)
        same(kv.fetch_one("nested"), {"list": [value]})
        same(list(kv.fetch_by_prefix("k")), [value])
        same(list(kv.items("k")), [("key", value)])
        same(list(kv.fetch_all()), [value, {"list": [value]}])

    @pytest.mark.parametrize(("value", "expected"), CONVERTED, ids=repr)
    def test_a_value_is_converted(self, kv: KvStorage, value: Any, expected: Any) -> None:
        """K6: a tuple comes back as a list, and a member of an enumeration as its value."""
        kv.upsert("key", value)
        same(kv.fetch_one("key"), expected)

    def test_an_error_names_the_path(self, kv: KvStorage) -> None:
        """K6: the key, the way to the value inside, and how to convert it."""
        with pytest.raises(TypeError, match=r"the key.*\['deep'\]\[1\]\['tags'\] is .*set: pass sorted\(value\)"):
            kv.upsert("the key", {"fine": (1,), "deep": [0, {"tags": {2}}]})
        with pytest.raises(TypeError, match=r"the key.*\['deep'\] has the key \(1,\).*tuple"):
            kv.upsert("the key", {"deep": {(1,): 2}})

    @pytest.mark.parametrize("refused", REFUSED_TYPES, ids=lambda value: type(value).__name__)
    def test_another_type_is_refused(self, kv: KvStorage, refused: Any) -> None:
        """K6: a TypeError names the key, at any depth, and the previous value stays (T13, nothing written)."""
        kv.upsert("the key", "before")
        for value in (refused, [refused], {"deep": [[refused]]}):
            with pytest.raises(TypeError, match="the key"):
                kv.upsert("the key", value)
        with backend_of(kv.session).batch() as batch, pytest.raises(TypeError, match="the key"):
            kv.upsert("the key", refused, batch_interface=batch)
        assert list(kv.items()) == [("the key", "before")]

    def test_what_has_no_bytes_is_refused(self, kv: KvStorage) -> None:
        """K6: a naive time, a lone surrogate and endless nesting are a ValueError that names the key."""
        endless: list[Any] = []
        endless.append(endless)
        naive = START.replace(tzinfo=None)
        for value in (naive, "\ud800", {"\udfff": 1}, [["\ud800"]], endless):
            with pytest.raises(ValueError, match="the key"):
                kv.upsert("the key", value)
        assert list(kv.items()) == []


def same(found: Any, expected: Any) -> None:
    """Assert that two values are equal and of the same types, in depth; a time has the same offset too."""
    assert type(found) is type(expected)
    assert found == expected
    assert repr(found) == repr(expected)
    if isinstance(expected, dict):
        for one, other in zip(found.items(), expected.items(), strict=True):
            same(one, other)
    elif isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, datetime):
        assert found.utcoffset() == expected.utcoffset()
