"""The ancestor's helpers, against Python's own."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feedstore.compat.stream_framework import compare, reverse_bisect_left

numbers = st.integers(-5, 5)


@given(st.lists(numbers), numbers)
def test_reverse_bisect_left_is_bisect_of_the_negated(items: list[int], x: int) -> None:
    descending = sorted(items, reverse=True)
    position = reverse_bisect_left(descending, x)
    assert position == bisect_right([-item for item in descending], -x)
    assert position == len(items) - bisect_left(sorted(items), x)
    assert all(item >= x for item in descending[:position])
    assert all(item < x for item in descending[position:])
    descending.insert(position, x)
    assert descending == sorted(descending, reverse=True)


@given(st.lists(numbers), numbers, st.integers(0, 12), st.one_of(st.none(), st.integers(0, 12)))
def test_reverse_bisect_left_within_bounds(items: list[int], x: int, lo: int, hi: int | None) -> None:
    assume(hi is None or hi <= len(items))
    descending = sorted(items, reverse=True)
    expected = bisect_right([-item for item in descending], -x, lo, len(items) if hi is None else hi)
    assert reverse_bisect_left(descending, x, lo, hi) == expected


def test_a_negative_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="lo"):
        reverse_bisect_left([3, 2, 1], 2, -1)


def test_it_compares_as_few_as_bisect_does() -> None:
    compared = []

    class Counting(int):
        def __gt__(self, other: Any) -> bool:
            compared.append(other)
            return int(self) > int(other)

    reverse_bisect_left(range(10**6, 0, -1), Counting(5))
    assert len(compared) <= 20


@given(numbers, numbers)
def test_compare(a: int, b: int) -> None:
    result = compare(a, b)
    assert type(result) is int
    assert result == (a > b) - (a < b)
    assert compare(b, a) == -result


def test_compare_orders_texts() -> None:
    assert [compare("a", "b"), compare("b", "b"), compare("b", "a")] == [-1, 0, 1]
