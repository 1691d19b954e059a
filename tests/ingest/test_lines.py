"""Positions at which a run may resume, and the check that the input before them is unchanged."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedstore.errors import InputError
from feedstore.ingest.lines import MAX_RECORD_BYTES, Lines
from ingest.inputs import source

TEXTS = st.text(st.sampled_from('aé☃\r\n\n\n,"\ufeff'))


def take(lines: Lines, count: int | None = None) -> list[str]:
    """Take that many lines, all if None, each as a record."""
    taken = []
    for line in islice(lines, count):
        lines.accept()
        taken.append(line)
    return taken


@given(TEXTS, st.data())
def test_a_later_pass_goes_on_where_an_earlier_one_was(text: str, data: st.DataObject) -> None:
    with source(text).open() as lines:
        everything = take(lines)
    count = data.draw(st.integers(0, len(everything)))
    with source(text).open() as lines:
        take(lines, count)
        position = lines.position()
    with source(text).open() as lines:
        lines.skip_to(position)
        assert lines.position() == position
        assert take(lines) == everything[count:]
        assert lines.position().line == len(everything)
        assert lines.position().byte == len(text.encode())


def test_what_comes_behind_the_place_may_change() -> None:
    with source("a\nb\nc\n").open() as lines:
        take(lines, 2)
        position = lines.position()
    with source("a\nb\nother\nmore\n").open() as lines:
        lines.skip_to(position)
        assert take(lines) == ["other\n", "more\n"]


@pytest.mark.parametrize("text", ["", "a\n", "a\nB\nc\n", "a\nbc\n", "ab\n\nc\n"])
def test_what_lies_before_the_place_may_not(text: str) -> None:
    with source("a\nb\nc\n").open() as lines:
        take(lines, 2)
        position = lines.position()
    with source(text).open() as lines:
        with pytest.raises(InputError, match="the first 2 lines are not those that were ingested before"):
            lines.skip_to(position)
        assert lines.damaged


def test_a_record_may_be_several_lines() -> None:
    with source("a\nb\nc\n").open() as lines:
        assert (next(lines), next(lines)) == ("a\n", "b\n")
        assert lines.accept() == 1
        assert next(lines) == "c\n"
        assert lines.accept() == 3
        assert lines.position().line == 3


def test_what_was_read_but_is_no_record_yet_lies_behind_the_place() -> None:
    with source("a\nb\nc\n").open() as lines:
        take(lines, 1)
        next(lines)
        assert lines.position().line == 1


def test_of_a_rejected_record_the_first_line_is_done_with() -> None:
    with source("a\nb\nc\nd\n").open() as lines:
        next(lines), next(lines), next(lines)
        error = lines.reject("why")
        assert (error.path, error.line, error.reason) == ("<stdin>", 1, "why")
        assert take(lines) == ["b\n", "c\n", "d\n"]
        assert lines.position().line == 4


def test_the_place_before_the_last_record() -> None:
    with source("a\nb\nc\n").open() as lines:
        take(lines, 1)
        before = lines.position()
        take(lines, 1)
        assert lines.position_before_last() == before
        next(lines)
        lines.reject("why")
        assert lines.position_before_last().line == 2


def test_the_place_before_a_line_that_is_too_long() -> None:
    text = "a\n" + "x" * (2 * MAX_RECORD_BYTES) + "\nb\n"
    with source(text).open() as lines:
        take(lines, 1)
        before = lines.position()
        with pytest.raises(InputError, match="longer than"):
            next(lines)
        assert lines.position_before_last() == before
        behind = lines.position()
        assert take(lines) == ["b\n"]
    assert (behind.line, behind.byte) == (2, len(text) - 2)


def test_a_byte_order_mark_is_left_out_at_the_start_alone() -> None:
    with source("\ufeffa\n\ufeffb\n").open() as lines:
        assert lines.peek() == "\ufeffa\n".encode()
        assert take(lines) == ["a\n", "\ufeffb\n"]
