"""Values in messages: bounded, complete where they are short, and never an error of their own."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, cast

import pytest

from feedstore import Activity, connect
from feedstore.channels import Message
from feedstore.channels.message import MessageCodec
from feedstore.errors import FeedstoreError
from feedstore.options import read_choice, read_count, read_flag, read_seconds
from feedstore.serializers.plain import plain_value
from feedstore.shown import LONGEST, decimal_digits, shown

HUGE = 10**5000


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no text of me")


class Endless:
    def __repr__(self) -> str:
        return repr(self)


class Wrong:
    def __repr__(self) -> Any:
        return 7


class Text(str):
    def __getitem__(self, index: Any) -> str:
        raise RuntimeError("not to be cut")


class Odd:
    def __repr__(self) -> str:
        return Text("odd" * 1000)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "ann",
        b"\0",
        -5,
        1.5,
        [1, "a"],
        (1,),
        (),
        (1, 2),
        {"a": [None]},
        {1},
        frozenset({1}),
        set(),
        datetime(2026, 1, 1, tzinfo=timezone.utc),
    ],
    ids=repr,
)
def test_short_values_are_shown_as_python_writes_them(value: object) -> None:
    assert shown(value) == repr(value)


def hostile_values() -> list[Any]:
    return [
        HUGE,
        -HUGE,
        [HUGE],
        {"n": {HUGE: HUGE}},
        (HUGE,),
        {HUGE},
        nested(100_000),
        Hostile(),
        [Hostile()],
        Endless(),
        Wrong(),
        Odd(),
        "x" * 10**6,
        b"x" * 10**6,
        list(range(10**6)),
        ["x" * 10**6] * 1000,
        "\ud800",
    ]


@pytest.mark.parametrize("value", hostile_values(), ids=range(17))
def test_every_value_is_shown_in_bounded_length(value: object) -> None:
    assert 0 < len(shown(value)) <= LONGEST + 10
    assert shown(value).isprintable()


def test_a_long_key_can_be_shown_whole() -> None:
    assert shown("k" * 1024, 1024) == repr("k" * 1024)
    assert shown("k" * 1024) == repr("k" * LONGEST) + "…"


@pytest.mark.parametrize("value", [0, -1, 10**4000 - 1, 10**4000, -(10**9000), 7 * 10**8000 + 5], ids=range(6))
def test_decimal_digits_are_those_of_str(value: int) -> None:
    digits = decimal_digits(value)
    sign, digits = (-1, digits[1:]) if digits.startswith("-") else (1, digits)
    halves = digits[:-4000] or "0", digits[-4000:]
    high = int(halves[0][:-4000] or "0") * 10**4000 + int(halves[0][-4000:])
    assert sign * (high * 10**4000 + int(halves[1])) == value
    assert digits == "0" or not digits.startswith("0")


def test_long_ints_become_texts_as_json() -> None:
    assert plain_value({"n": [HUGE], HUGE: 1}) == {"n": ["1" + "0" * 5000], "1" + "0" * 5000: 1}


def calls() -> dict[str, Any]:
    backend = connect("memory://")
    timelines, activities = backend.timeline_storage(), backend.activity_storage()
    items, queue = backend.kv_storage(), backend.queue()
    return {
        "key": timelines.count,
        "id": lambda value: timelines.contains("k", value),
        "ids": timelines.activity_to_id,
        "activities": activities.add_many,
        "activity": lambda value: timelines.add("k", cast("Any", [value])),
        "cursor": lambda value: timelines.get_page("k", 5, value),
        "limit": lambda value: timelines.get_page("k", -abs(value) if isinstance(value, int) else value),
        "start": lambda value: timelines.get_slice("k", listed(value), None),
        "filter": lambda value: timelines.get_slice("k", 0, 1, {"activity_id__lt": cast("Any", [value])}),
        "filter's name": lambda value: timelines.get_slice("k", 0, 1, named(value)),
        "ordering": lambda value: timelines.get_slice("k", 0, 1, None, [value]),
        "hydrate_from": lambda value: timelines.get_slice("k", 0, 1, hydrate_from=value),
        "batch": lambda value: timelines.add("k", 1, batch_interface=value),
        "namespace": lambda value: connect("memory://", namespace=value),
        "option": lambda value: connect("memory://", colour=value),
        "kv key": items.fetch_one,
        "kv value": lambda value: items.upsert("k", [Hostile(), value]),
        "receipt": lambda value: queue.ack(listed(value)),
        "visibility_timeout": lambda value: backend.queue(visibility_timeout=value),
        "max_length": lambda value: backend.queue(max_length=value),
        "when_full": lambda value: backend.queue(when_full=value),
        "timeout": lambda value: queue.receive(timeout=value),
        "recheck_seconds": lambda value: backend.notifier().subscribe(print, recheck_seconds=listed(value)),
        "actor": lambda value: Activity(listed(value), "v", "o"),
        "verb": lambda value: Activity("a", listed(value), "o"),
        "time": lambda value: Activity("a", "v", "o", time=listed(value)),
        "activity id": lambda value: Activity("a", "v", "o", id=listed(value)),
        "context": lambda value: activities.add(Activity("a", "v", "o", extra_context={"x": {Hostile(): value}})),
        "message": lambda value: MessageCodec().decode({"n": value}),
        "message type": lambda value: Message(listed(value)),
        "count": lambda value: read_count(1, 2)("o", value),
        "seconds": lambda value: read_seconds()("o", value),
        "flag": lambda value: read_flag("o", value),
        "choice": lambda value: read_choice("a")("o", value),
    }


def listed(value: object) -> Any:
    return [value]


def named(value: object) -> Any:
    """Return a mapping with a name that shows the value, or a list of it where it cannot be hashed."""
    return [value] if isinstance(value, list) else {(value,): 1}


@pytest.mark.parametrize("name", calls())
def test_an_error_about_a_hostile_value_is_the_librarys_own(name: str) -> None:
    call = calls()[name]
    for value in (HUGE, -HUGE, [HUGE], Hostile(), nested(1000), "\ud800"):
        with pytest.raises(FeedstoreError) as caught:
            call(value)
        assert 0 < len(str(caught.value)) < 2000
