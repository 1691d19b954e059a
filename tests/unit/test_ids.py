"""Ids: their layout, their order, their hash, their form as str."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import (
    MAX_ID,
    derive_id,
    first_id_at,
    id_from_bytes,
    id_to_bytes,
    id_to_text,
    id_to_uuid,
    last_id_at,
    microseconds_of,
    parse_id,
    time_from_microseconds,
    time_of_id,
)

TIME = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
GOLDEN: list[tuple[datetime, tuple[Any, ...], str]] = [
    (TIME, ("ann", "like", "photo:7", None), "019b7989-8853-774b-a906-f1549940666d"),
    (TIME, ("ann", "like", "photo:7", "album:1"), "019b7989-8853-774b-95d9-899593a7db8d"),
    (TIME, (1, "like", -7, None), "019b7989-8853-774b-ad5d-7df00495754a"),
    (TIME, ("1", "like", "-7", None), "019b7989-8853-774b-a4ad-0947464f27b1"),
    (TIME, ("ann", "like", "photo:7", None, "row-1"), "019b7989-8853-774b-8fc7-75f143904440"),
    (TIME, ("ann", "like", "photo:7", None, 1), "019b7989-8853-774b-860e-984eabba84bb"),
    (
        datetime(1970, 1, 1, tzinfo=timezone.utc),
        ("ä\0", "中", "\U0001f600", None),
        "00000000-0000-7000-bbd7-31dd16116f18",
    ),
    (
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),
        ("a", "b", "c", None),
        "e677d21f-dbff-7ffb-bb46-ed57856c46ba",
    ),
]
times = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(timezone.utc))  # noqa: DTZ001 - bounds are naive
parts = st.lists(st.one_of(st.none(), st.text(max_size=4), st.integers(-(2**63), 2**64 - 1)), max_size=4)
all_ids = st.integers(0, MAX_ID)


@pytest.mark.parametrize(("time", "given_parts", "text"), GOLDEN)
def test_ids_are_the_same_in_every_release(time: datetime, given_parts: tuple[Any, ...], text: str) -> None:
    assert id_to_text(derive_id(time, *given_parts)) == text


def test_ids_are_the_same_in_every_process() -> None:
    script = (
        "from datetime import *; from feedstore.ids import *;"
        "print(id_to_text(derive_id(datetime(2026, 1, 1, 12, 30, 15, 123456, timezone.utc), 'ann', 'like', 7, None)))"
    )
    command = [sys.executable, "-c", script]
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    printed = {
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
        for environment in environments
    }
    assert printed == {id_to_text(derive_id(TIME, "ann", "like", 7, None))}


@given(times, parts)
def test_the_layout_is_that_of_rfc_9562(time: datetime, given_parts: list[Any]) -> None:
    activity_id = derive_id(time, *given_parts)
    text = uuid.UUID(int=activity_id)
    assert text.version == 7
    assert text.variant == uuid.RFC_4122
    microseconds = (time - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    assert activity_id >> 80 == microseconds // 1000
    assert (activity_id >> 64) & 0xFFF == microseconds % 1000 * 4096 // 1000


def test_the_tail_is_a_hash_of_tagged_parts_with_their_lengths() -> None:
    told = b"s\0\0\0\3ann" + b"i\0\0\0\x02-7" + b"n\0\0\0\0" + b"s\0\0\0\2\xc3\xa4"
    digest = hashlib.blake2b(told, digest_size=8).digest()
    expected = int.from_bytes(digest, "big") & (2**62 - 1)
    assert derive_id(TIME, "ann", -7, None, "ä") & (2**62 - 1) == expected


@given(times, parts, parts)
@example(TIME, [1], ["1"])
@example(TIME, ["ab", "c"], ["a", "bc"])
@example(TIME, [None], ["None"])
@example(TIME, [None], [""])
@example(TIME, [0], [None])
@example(TIME, ["", "a"], ["a", ""])
@example(TIME, ["a"], ["a", None])
@example(TIME, ["n\0\0\0\0"], [None])
@example(TIME, ["s\0\0\0\1a"], ["a"])
@example(TIME, [-1], ["-1"])
@example(TIME, [True], [1])
def test_ids_are_equal_exactly_if_the_parts_are(time: datetime, one: list[Any], other: list[Any]) -> None:
    assert (derive_id(time, *one) == derive_id(time, *other)) is (list(map(_told, one)) == list(map(_told, other)))


def _told(part: Any) -> tuple[str, Any]:
    return ("text" if isinstance(part, str) else "none" if part is None else "int", str(part))


@given(times)
def test_a_microsecond_later_sorts_behind(time: datetime) -> None:
    later = time_from_microseconds(microseconds_of(time) + 1) if time < _last_time() else time
    if later > time:
        assert last_id_at(time) < first_id_at(later)
        assert derive_id(time, "z") < derive_id(later, "a")


def _last_time() -> datetime:
    return datetime.max.replace(tzinfo=timezone.utc)


def test_every_microsecond_of_a_millisecond_has_its_place() -> None:
    ids = [first_id_at(TIME.replace(microsecond=microsecond)) for microsecond in range(999, 2_001)]
    assert ids == sorted(set(ids))


@given(times, parts)
def test_an_id_carries_its_time_to_the_microsecond(time: datetime, given_parts: list[Any]) -> None:
    activity_id = derive_id(time, *given_parts)
    assert time_of_id(activity_id) == time
    assert time_of_id(activity_id).tzinfo is timezone.utc
    assert first_id_at(time) <= activity_id <= last_id_at(time)
    assert time_of_id(first_id_at(time)) == time_of_id(last_id_at(time)) == time


def test_a_zone_changes_nothing() -> None:
    for hours in (-23, -5, 0, 5, 14):
        elsewhere = TIME.astimezone(timezone(timedelta(hours=hours)))
        assert derive_id(elsewhere, "a") == derive_id(TIME, "a")
        assert first_id_at(elsewhere) == first_id_at(TIME)


def test_an_id_of_the_caller_s_own_may_carry_no_time() -> None:
    assert time_of_id(0) == datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert time_of_id(0xFFF << 64) == datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=timezone.utc)
    with pytest.raises(InvalidValueError, match="ffffffff-ffff-ffff-ffff-ffffffffffff"):
        time_of_id(MAX_ID)


@pytest.mark.parametrize(
    ("time", "error", "message"),
    [
        (TIME.replace(tzinfo=None), InvalidValueError, r"timezone.*datetime\.now\(timezone\.utc\)"),
        (TIME.replace(year=1969), InvalidValueError, "before 1970"),
        (
            datetime(1970, 1, 1, tzinfo=timezone(timedelta(microseconds=1))),
            InvalidValueError,
            "before 1970",
        ),
        (datetime(1, 1, 1, tzinfo=timezone.utc), InvalidValueError, "before 1970"),
        (TIME.date(), InvalidTypeError, "timezone-aware datetime"),
        (TIME.timestamp(), InvalidTypeError, "timezone-aware datetime"),
        (TIME.isoformat(), InvalidTypeError, "timezone-aware datetime"),
        (None, InvalidTypeError, "timezone-aware datetime"),
    ],
)
def test_times_that_are_refused(time: Any, error: type[Exception], message: str) -> None:
    for function in (microseconds_of, first_id_at, last_id_at, derive_id):
        with pytest.raises(error, match=message):
            function(time)


@given(all_ids)
@example(0)
@example(MAX_ID)
def test_every_form_leads_back(activity_id: int) -> None:
    text = id_to_text(activity_id)
    assert text == str(uuid.UUID(int=activity_id)) == str(id_to_uuid(activity_id))
    forms = [activity_id, id_to_uuid(activity_id), text, text.upper(), text.replace("-", ""), f"{{{text}}}"]
    for form in forms:
        assert parse_id(form) == activity_id
        assert type(parse_id(form)) is int
    assert id_from_bytes(id_to_bytes(activity_id)) == activity_id
    assert len(id_to_bytes(activity_id)) == 16


@given(all_ids, all_ids)
@example(2**63 - 1, 2**63)
@example(2**53, 2**53 + 1)
def test_bytes_and_texts_sort_as_the_ids_do(one: int, other: int) -> None:
    assert (id_to_bytes(one) < id_to_bytes(other)) is (one < other)
    assert (id_to_text(one) < id_to_text(other)) is (one < other)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1, InvalidValueError, "-1"),
        (2**128, InvalidValueError, str(2**128)),
        ("", InvalidValueError, "UUID"),
        ("7", InvalidValueError, "'7'"),
        ("g" * 32, InvalidValueError, "hexadecimal"),
        (True, InvalidTypeError, "bool"),
        (None, InvalidTypeError, "NoneType"),
        (1.0, InvalidTypeError, "float"),
        (b"0" * 32, InvalidTypeError, "bytes"),
        ([1], InvalidTypeError, "list"),
    ],
)
def test_what_is_no_id_is_refused(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_id(value)


def test_an_int_too_long_to_be_shown_is_refused_by_its_length() -> None:
    for value in (1 << 50_000, -(1 << 50_000)):
        with pytest.raises(InvalidValueError, match="50001 bits"):
            parse_id(value)
