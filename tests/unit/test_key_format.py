"""The keys of feeds."""

from __future__ import annotations

from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedstore import connect
from feedstore.errors import FeedstoreError
from feedstore.feeds import Feed, KeyFormat


class Number(int, Enum):
    SEVEN = 7


class Name(str, Enum):  # noqa: UP042 - str of a member is not its value
    BOB = "bob"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("home:{user_id}", "home:bob"),
        ("{{{user_id}}}:home", "{bob}:home"),
        ("home:%(user_id)s", "home:bob"),
        ("100%%:{%(user_id)s}", "100%:{bob}"),
        ("{user_id}:of:{user_id}", "bob:of:bob"),
    ],
)
def test_both_forms_are_read(text: str, expected: str) -> None:
    assert KeyFormat(text).key("bob") == expected


@pytest.mark.parametrize(
    "text",
    [
        "home",
        "",
        "home:{name}",
        "home:%(name)s",
        "home:{}",
        "home:{user_id",
        "home:{user_id!r}",
        "%(user_id)d",
        "%(user_id)s 5%",
        7,
    ],
)
def test_a_format_without_the_placeholder_or_with_another_is_refused(text: Any) -> None:
    with pytest.raises(FeedstoreError, match="key_format"):
        KeyFormat(text)
    with pytest.raises(FeedstoreError, match="key_format"):
        type("Bad", (Feed,), {"key_format": text})


@pytest.mark.parametrize("refused", ["", None, True, 1.5, b"bob", "\ud800", "a" * 2000])
def test_what_names_no_user_is_refused(refused: Any) -> None:
    with pytest.raises(FeedstoreError):
        Feed(refused, connect("memory://"))


def test_ints_and_uuids_name_users() -> None:
    assert KeyFormat("home:{user_id}").key(7) == "home:7"
    assert KeyFormat("home:{user_id}").key(UUID(int=7)) == f"home:{UUID(int=7)}"
    assert KeyFormat("home:{user_id}").key(-(10**900)) == "home:-1" + 900 * "0"

    for huge in (10**5000, -(10**5000)):
        with pytest.raises(FeedstoreError, match="bytes in UTF-8"):
            KeyFormat("home:{user_id}").key(huge)


def test_a_member_of_an_enumeration_is_the_user_of_its_value() -> None:
    assert [KeyFormat("home:{user_id}").key(one) for one in (Number.SEVEN, Name.BOB)] == ["home:7", "home:bob"]


NAMES = st.text("ab:_-{}%x", min_size=1)
FORMATS = [
    KeyFormat(text) for text in ("a:{user_id}", "a_{user_id}", "a_b:{user_id}", "a:{user_id}:x", "{{{user_id}}}:a")
]


@given(NAMES, NAMES, st.sampled_from(FORMATS), st.sampled_from(FORMATS))
def test_two_users_or_formats_never_share_a_key(one: str, other: str, first: KeyFormat, second: KeyFormat) -> None:
    if (one, first) != (other, second):
        assert first.key(one) != second.key(other)


@pytest.mark.parametrize("text", ["a:{user_id}", "{user_id}:{user_id}", "a\n{user_id}"])
def test_keys_of_many_users_are_those_of_each(text: str) -> None:
    keys = KeyFormat(text)
    lists: list[list[str | int | UUID]] = [[], ["bob"], ["bob", "b:%{x}", 7, "é:", UUID(int=1)], ["a\nb", "c"]]
    for names in lists:
        assert keys.keys(names) == [keys.key(name) for name in names]
