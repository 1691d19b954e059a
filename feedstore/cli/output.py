"""The output of sub-commands: JSON for programs, tables for people."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from feedstore.serializers.plain import plain_value

_GAP = "  "
_INDENT = "    "
_JOINERS = "\u200c\u200d"
_WIDER_THAN_ANY = 1_000_000


def print_json(value: Any) -> None:
    """Print a value as JSON on one line: times as ISO 8601, bytes as base64, NaN and infinities as strings."""
    print(json_text(value))


def json_text(value: Any) -> str:
    """Return a value as :func:`print_json` prints it, with escapes if standard output is not in Unicode."""
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(plain_value(value), ensure_ascii=not is_unicode)


def time_text(time: datetime) -> str:
    """Return a time in UTC for people: to the second, or to the microsecond if it has a fraction."""
    text = time.replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if time.microsecond else text


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun; the plural has an s by default."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Print rows under headers, aligned; the columns named in ``right`` to the right. None becomes an empty cell.

    On a terminal, rich draws the table if it is installed. A row that is wider than the terminal continues on the next
    line with its next cell, so that an id or a hash is never cut in two.
    """
    texts = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if is_terminal else sys.maxsize
    widths = [max(map(_width, column)) for column in zip(headers, *texts, strict=True)]
    fits = sum(widths) + len(_GAP) * (len(widths) - 1) <= columns
    if is_terminal and fits and _print_rich_table(headers, texts, right):
        return
    # A header is in the same line as the narrowest cell of its column.
    narrowest = [min(map(_width, column), default=0) for column in zip(*texts, strict=True)] or widths
    aligned_right = [header in right for header in headers]
    for cells, needed in [(headers, narrowest), *((row, list(map(_width, row))) for row in texts)]:
        for line in _lines_of(cells, needed, widths, aligned_right, columns):
            print(line.rstrip())


def _lines_of(
    cells: Sequence[str], needed: Sequence[int], widths: Sequence[int], aligned_right: Sequence[bool], columns: int
) -> Iterator[str]:
    """Yield the lines of a row; a cell that does not fit into the rest of its line begins an indented line."""
    line, position = "", 0
    for cell, need, width, is_right in zip(cells, needed, widths, aligned_right, strict=True):
        if position and position + max(need, _width(cell)) > columns:
            yield line
            line, position = _INDENT, len(_INDENT)
        line += _padded(cell, width, is_right) + _GAP
        position += width + len(_GAP)
    yield line


def _print_rich_table(headers: Sequence[str], rows: list[list[str]], right: Sequence[str]) -> bool:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if console.measure(table, options=console.options.update(max_width=_WIDER_THAN_ANY)).maximum > console.width:
        return False
    console.print(table)
    return True


def printable(text: str) -> str:
    """Return a str with escapes for its control characters, because data must not control the terminal.

    Joiners stay unchanged: emoji contain them, and words of Persian and of Indian languages.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in _JOINERS else character.encode("unicode_escape").decode()
        for character in text
    )


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if character in _JOINERS or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _padded(text: str, width: int, to_the_right: bool) -> str:
    padding = " " * (width - _width(text))
    return padding + text if to_the_right else text + padding
