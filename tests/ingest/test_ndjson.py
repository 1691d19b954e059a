"""Tables in NDJSON: accepted rows, and refusals with file and line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedstore.errors import InputError
from feedstore.ingest import Problems
from ingest.inputs import GOOD_ROW, HEADER, ndjson_text, read

ROW: dict[str, Any] = {"id": "1", "time": "2026-01-31T08:39:59Z", "actor": "ann", "verb": "like", "object": "photo:7"}


def test_the_same_row_is_the_same_activity_in_either_format() -> None:
    assert read(ndjson_text([ROW])) == read(HEADER + GOOD_ROW)


@pytest.mark.parametrize(
    "row",
    [
        ROW | {"id": 1},
        ROW | {"target": None, "extra": None},
        ROW | {"target": "", "extra": {}},
        dict(reversed(ROW.items())),
    ],
    ids=["a number for an id", "null", "empty", "another order"],
)
def test_spellings_of_one_activity(row: dict[str, Any]) -> None:
    assert read(ndjson_text([row])) == read(ndjson_text([ROW]))


def test_values_keep_their_types() -> None:
    extra = {"a": [1, 2.5, None, True, {"b": "ü"}], "large": 2**70}
    (activity,) = read(ndjson_text([ROW | {"actor": 7, "object": -3, "target": 2**64 - 1, "extra": extra}]))
    assert (activity.actor, activity.object, activity.target) == (7, -3, 2**64 - 1)
    assert activity.extra_context == extra
    assert activity.foreign_id == "1"


def test_empty_lines_byte_order_marks_and_carriage_returns_are_passed_over() -> None:
    text = "\ufeff" + json.dumps(ROW) + "\r\n\n  \n" + json.dumps(ROW | {"id": 2})
    assert [activity.foreign_id for activity in read(text)] == ["1", "2"]


def test_a_name_says_what_the_first_byte_does_not() -> None:
    assert read(" \t" + ndjson_text([ROW])) == read(ndjson_text([ROW]))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "NDJSON has one whole object on each line"),
        ('{"id":"2"', "is not JSON"),
        ("[1]", "is JSON, but not an object"),
        ('"text"', "is JSON, but not an object"),
        ("id,time,actor", "is not JSON"),
        (json.dumps(ROW) + json.dumps(ROW), "is not JSON: Extra data"),
        (json.dumps({"id": "2", "verb": "like"}), "missing columns 'time', 'actor', 'object'"),
        (json.dumps(ROW | {"colour": "red"}), "unknown column 'colour'"),
        (json.dumps(ROW)[:-1] + ',"id":"3"}', "the name 'id' is repeated"),
        (json.dumps(ROW | {"id": ""}), "id is empty"),
        (json.dumps(ROW | {"id": None}), "id is empty"),
        (json.dumps(ROW | {"id": 2**64}), "id 18446744073709551616 does not fit into 64 bits"),
        (json.dumps(ROW | {"id": -(2**63) - 1}), "does not fit into 64 bits"),
        (json.dumps(ROW | {"id": 1.5}), "id must be a str or an int, not 1.5"),
        (json.dumps(ROW | {"id": True}), "id must be a str or an int, not True"),
        (json.dumps(ROW | {"id": ["x"]}), "id must be a str or an int, not ['x']"),
        (json.dumps(ROW | {"actor": 2**64}), "actor 18446744073709551616 does not fit into 64 bits"),
        (json.dumps(ROW | {"actor": {"name": "ann"}}), "actor must be a str or an int"),
        (json.dumps(ROW | {"actor": "\ud800"}), "lone surrogate"),
        (json.dumps(ROW | {"verb": 3}), "verb must be a str"),
        (json.dumps(ROW | {"time": 1769860799}), "the time 1769860799 must be a str"),
        (json.dumps(ROW | {"time": "2026-01-31T08:39:59"}), "has no offset from UTC"),
        (json.dumps(ROW | {"extra": "{}"}), "'{}' is not a JSON object"),
        (json.dumps(ROW | {"extra": {"a": "\udc00"}}), "lone surrogate"),
        (json.dumps(ROW)[:-1] + ',"extra":{"a":-Infinity}}', "-Infinity is not a JSON value"),
        ("\0", "the row contains a NUL byte"),
        ('{"a":' * 60000 + "1" + "}" * 60000, "cannot be read"),
        ('{"a":' + "9" * 5000 + "}", "cannot be read"),
    ],
    ids=lambda value: value[:40],
)
def test_a_wrong_row_is_refused_with_its_line(line: str, reason: str) -> None:
    text = ndjson_text([ROW]) + "\n" + line + "\n" + ndjson_text([ROW | {"id": "3"}])
    with pytest.raises(InputError) as caught:
        read(text)
    assert (caught.value.path, caught.value.line) == ("<stdin>", 3)
    assert reason in caught.value.reason
    assert len(str(caught.value)) < 400
    problems = Problems("skip")
    assert [activity.foreign_id for activity in read(text, problems)] == ["1", "3"]
    assert [error.line for error in problems.first] == [3]
