"""CSV that is read in blocks: rows, errors, lines and positions are those of reading line by line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedstore.errors import InputError
from feedstore.ingest import Problems, read_follows
from feedstore.ingest import source as source_module
from feedstore.ingest.follows import InputFollowers
from feedstore.ingest.formats import read_table
from feedstore.ingest.lines import Lines
from feedstore.ingest.table import Columns
from ingest.inputs import FOLLOWS_HEADER, source

COLUMNS = Columns(("a", "b"))
PIECES = st.lists(
    st.sampled_from(["x", "é", ",", ",", '"', '""', "\n", "\n", "\r\n", "\r", "x,y\n", '"x\ny",z\n', "\0"])
)
BUFFER_BYTES = st.integers(1, 40)


def outcomes(data: bytes) -> list[Any]:
    """The result of each row: its values or its error, and the positions before and after it."""
    found: list[Any] = []
    with source(data).open() as lines:
        table = read_table(lines, COLUMNS)
        rows = iter(table)
        while True:
            try:
                row: Any = next(rows, None)
            except InputError as error:
                row, rows = (error.line, error.reason), iter(table)
            found.append((row, table.position_before_last(), table.position()))
            if row is None:
                return found


def line_by_line(lines: Lines) -> None:
    """Stands in for ``Lines.read_block``: there is never a block."""


@given(PIECES, BUFFER_BYTES)
@example(['"x\ny",z\n', "x,y\n", "x\n", "x,y\n"], 10)
def test_blocks_change_nothing(pieces: list[str], buffer_bytes: int) -> None:
    data = ("a,b\n" + "".join(pieces)).encode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(source_module, "_BUFFER_BYTES", buffer_bytes)
        in_blocks = outcomes(data)
        patched.setattr(Lines, "read_block", line_by_line)
        assert in_blocks == outcomes(data)


def test_a_byte_that_is_not_utf_8_ends_no_block_before_it() -> None:
    data = b"a,b\n1,2\n3,\xff\n5,6\n"
    rows = [row for row, _, _ in outcomes(data)]
    assert rows == [["1", "2"], (3, "byte 3 of the line is not UTF-8; convert the file to UTF-8"), ["5", "6"], None]


EDGES = st.lists(
    st.sampled_from(
        ["bob,ann,\n", "eve,ann,\n", "bob,cem,2026-05-01\n", "bob,,\n", "bob,ann\n", "x,y,z\n", "\n", '"e\nve",ann,\n']
    )
)


@given(EDGES, BUFFER_BYTES, st.sampled_from([FOLLOWS_HEADER, "followee,follower,time\n"]))
def test_follows_in_blocks_are_those_of_single_rows(rows: list[str], buffer_bytes: int, header: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(source_module, "_BUFFER_BYTES", buffer_bytes)
        in_blocks = graph_of(header + "".join(rows))
        patched.setattr(Lines, "read_block", line_by_line)
        assert in_blocks == graph_of(header + "".join(rows))


def graph_of(text: str) -> tuple[Any, ...]:
    """The content of a graph, and the skipped rows."""
    problems = Problems("skip")
    graph: InputFollowers = read_follows(source(text), problems)
    readers = [graph(name) for name in ("ann", "bob", "cem", "eve", "y")]
    skipped = sorted((error.line or 0, error.reason) for error in problems.first)
    return readers, graph.edges, graph.readers, set(graph.followees), graph.repeated, skipped
