"""Filters, orderings, positions and keys, before any backend sees them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import MAX_ID, parse_id
from feedstore.storage import Bounds
from feedstore.storage.bounds import EVERYTHING, is_descending, parse_filter
from feedstore.storage.checks import check_key, check_namespace, check_position, check_prefix, check_slice
from feedstore.testing.oracle_model import HOLDS
from feedstore.testing.samples import HARD_IDS, HARD_KEYS, REFUSED_KEYS

ids = st.one_of(st.sampled_from(HARD_IDS), st.integers(0, MAX_ID))


@given(st.dictionaries(st.sampled_from(sorted(HOLDS)), ids), ids)
@example({"activity_id__lt": 0}, 0)
@example({"activity_id__gt": MAX_ID}, MAX_ID)
def test_a_filter_is_a_range(filters: Any, activity_id: int) -> None:
    bounds = parse_filter(filters, parse_id)
    expected = all(HOLDS[name](activity_id, bound) for name, bound in filters.items())
    assert (bounds.lowest <= activity_id <= bounds.highest) is expected
    if bounds.is_empty:
        assert not expected
    if bounds.is_everything:
        assert expected


def test_nothing_given_is_everything() -> None:
    nothing: Any
    for nothing in (None, {}, MappingProxyType({})):
        assert parse_filter(nothing, parse_id) == Bounds(0, MAX_ID)
    assert EVERYTHING.is_everything
    assert not EVERYTHING.is_empty
    assert Bounds(5, 4).is_empty
    assert not Bounds(5, 5).is_empty
    assert not Bounds(1, MAX_ID).is_everything
    assert not Bounds(0, MAX_ID - 1).is_everything


@pytest.mark.parametrize("ordering", [None, (), [], ("-activity_id",), ["-activity_id"]])
def test_newest_first(ordering: Any) -> None:
    assert is_descending(ordering) is True


@pytest.mark.parametrize("ordering", [("activity_id",), ["activity_id"]])
def test_oldest_first(ordering: Any) -> None:
    assert is_descending(ordering) is False


@pytest.mark.parametrize(
    "refused", [("id",), "activity_id", "-activity_id", 7, {"activity_id"}, object(), b"", b"-activity_id", (None,)]
)
def test_another_ordering_is_refused(refused: Any) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match="-activity_id"):
        is_descending(refused)


def test_positions() -> None:
    assert [check_position("start", value) for value in (0, 1, 2**70)] == [0, 1, 2**70]
    assert check_slice(None, None) == (0, None)
    assert check_slice(3, 2) == (3, 2)
    for refused in (-1, -(2**70)):
        with pytest.raises(InvalidValueError, match="the_name"):
            check_position("the_name", refused)
    for wrong in (None, 1.0, "1", True, object()):
        with pytest.raises(InvalidTypeError, match="the_name"):
            check_position("the_name", wrong)


def test_keys() -> None:
    for key in HARD_KEYS:
        assert check_key(key) is key
        assert check_prefix(key) is key
    assert check_prefix("") == ""


@pytest.mark.parametrize(("refused", "error"), REFUSED_KEYS)
def test_what_is_no_key_is_refused_by_name(refused: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="the_name"):
        check_key(refused, "the_name")
    if refused != "":
        with pytest.raises(error, match="the_name"):
            check_prefix(refused, "the_name")


@given(st.text(max_size=1100))
@example("x" * 1024)
@example("x" * 1025)
@example("\x7f" * 1024)
@example("\x80" * 513)
@example("a" * 1022 + "\u0800")
def test_a_key_is_as_long_as_its_bytes(key: str) -> None:
    if 1 <= len(key.encode(errors="surrogatepass")) <= 1024 and not any("\ud800" <= one <= "\udfff" for one in key):
        assert check_key(key) == key
    else:
        with pytest.raises(InvalidValueError, match="key"):
            check_key(key)


@given(st.text(max_size=50))
@example("x" * 48)
@example("x" * 49)
@example("a\n")
@example("٣")
def test_a_namespace_is_of_few_characters(namespace: str) -> None:
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    if 1 <= len(namespace) <= 48 and set(namespace) <= set(allowed):
        assert check_namespace(namespace) == namespace
    else:
        with pytest.raises(InvalidValueError, match="namespace"):
            check_namespace(namespace)
