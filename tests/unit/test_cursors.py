"""Cursors: opaque, versioned, URL-safe, and whole."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedstore import Activity, ActivityRef
from feedstore.errors import InvalidCursorError, InvalidTypeError
from feedstore.ids import MAX_ID
from feedstore.storage import Bounds
from feedstore.storage.page import Page, cursor_bounds, encode_cursor

GOLDEN = [
    (0, True, "AQEAAAAAAAAAAAAAAAAAAAAAFlgYPLKX"),
    (MAX_ID, False, "AQD_____________________pdSmHRVu"),
    (255, True, "AQEAAAAAAAAAAAAAAAAAAAD_eNVB_pB9"),
]
ids = st.integers(0, MAX_ID)


@pytest.mark.parametrize(("last_id", "descending", "cursor"), GOLDEN)
def test_cursors_of_earlier_releases_are_read(last_id: int, descending: bool, cursor: str) -> None:
    assert encode_cursor(last_id, descending) == cursor
    expected = Bounds(0, last_id - 1) if descending else Bounds(last_id + 1, MAX_ID)
    assert cursor_bounds(cursor, descending) == expected


@given(ids, st.booleans())
def test_a_cursor_leads_behind_its_entry(last_id: int, descending: bool) -> None:
    cursor = encode_cursor(last_id, descending)
    assert re.fullmatch("[A-Za-z0-9_-]{32}", cursor)
    bounds = cursor_bounds(cursor, descending)
    assert bounds == (Bounds(0, last_id - 1) if descending else Bounds(last_id + 1, MAX_ID))
    with pytest.raises(InvalidCursorError, match="ordering"):
        cursor_bounds(cursor, not descending)


def test_nothing_lies_behind_the_last() -> None:
    assert cursor_bounds(encode_cursor(0, True), True).is_empty
    assert cursor_bounds(encode_cursor(MAX_ID, False), False).is_empty
    assert cursor_bounds(None, True).is_everything


@given(ids, st.booleans(), st.integers(0, 24 * 8 - 1))
def test_every_bit_counts(last_id: int, descending: bool, bit: int) -> None:
    cursor = encode_cursor(last_id, descending)
    number = int.from_bytes(urlsafe_b64decode(cursor), "big") ^ (1 << bit)
    altered = urlsafe_b64encode(number.to_bytes(24, "big")).decode()
    with pytest.raises(InvalidCursorError, match="altered"):
        cursor_bounds(altered, descending)


@given(st.text(max_size=40), st.booleans())
def test_no_other_text_is_a_cursor(text: str, descending: bool) -> None:
    with pytest.raises(InvalidCursorError):
        cursor_bounds(text, descending)


@pytest.mark.parametrize(("head", "message"), [(b"\2\1", "newer release"), (b"\1\2", "ordering"), (b"\0\1", "newer")])
def test_a_whole_cursor_of_another_kind(head: bytes, message: str) -> None:
    body = head + bytes(16)
    cursor = urlsafe_b64encode(body + blake2b(body, digest_size=6).digest()).decode()
    with pytest.raises(InvalidCursorError, match=message):
        cursor_bounds(cursor, True)


@pytest.mark.parametrize("refused", [5, b"AQEA", object(), ["AQEA"], True])
def test_what_is_no_text_is_refused(refused: Any) -> None:
    with pytest.raises(InvalidTypeError, match="cursor"):
        cursor_bounds(refused, True)


def test_a_long_text_is_not_shown_whole() -> None:
    with pytest.raises(InvalidCursorError) as caught:
        cursor_bounds("A" * 100_000, True)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("floor", [None, 0, 255, MAX_ID, MAX_ID + 1])
@pytest.mark.parametrize("item", [Activity("ann", "login"), ActivityRef(7)], ids=["activity", "reference"])
def test_a_page_comes_back_from_json(item: Activity | ActivityRef, floor: int | None) -> None:
    page = Page([item], None, False, floor)
    document = json.loads(json.dumps(page.to_dict()))
    assert document["items"] == [item.to_dict()]
    assert Page.from_dict(document, type(item).from_dict) == page


def test_a_floor_has_the_form_of_an_id() -> None:
    floors = [Page([], "cursor", False, floor).to_dict()["floor"] for floor in (None, 255, MAX_ID + 1)]
    assert floors == [None, "00000000-0000-0000-0000-0000000000ff", "100000000-0000-0000-0000-000000000000"]


def test_a_mapping_that_is_no_page_is_refused() -> None:
    refused: tuple[Any, ...] = ({}, [], {"items": []}, {**Page([], None, True, None).to_dict(), "more": 1})
    for wrong in refused:
        with pytest.raises(InvalidTypeError, match="items, next_cursor"):
            Page.from_dict(wrong, Activity.from_dict)
    with pytest.raises(InvalidTypeError, match="with an id"):
        ActivityRef.from_dict({})
