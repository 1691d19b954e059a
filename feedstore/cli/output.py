"""What sub-commands print: JSON for programs, tables for people."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from feedstore.ids import id_to_text
from feedstore.serializers.plain import plain_value

_GAP = "  "
_MORE_THAN_ID = 2**128


def print_json(value: Any) -> None:
    """Print a value as JSON on one line: times as ISO 8601, bytes as base64, NaN and infinities as texts."""
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(plain_value(value), ensure_ascii=not is_unicode))


def floor_text(floor: int | None) -> str | None:
    """Return a timeline's floor as the text of an id; that of a floor above every id has one digit more."""
    if floor is None:
        return None
    return id_to_text(floor) if floor < _MORE_THAN_ID else "1" + id_to_text(0)


def time_text(time: datetime) -> str:
    """Return a time in UTC as people read it: to the second, and finer where it is finer."""
    text = time.replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if time.microsecond else text


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun, which takes an s in the plural unless another one is given."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Print rows under headers, aligned; the columns named in ``right`` to the right. None is left blank.

    On a terminal, rich draws it if it is installed.
    """
    texts = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty() and _print_rich_table(headers, texts, right):
        return
    widths = [max(map(_width, column)) for column in zip(headers, *texts, strict=True)]
    for row in [list(headers), *texts]:
        cells = [
            _padded(cell, width, header in right) for cell, width, header in zip(row, widths, headers, strict=True)
        ]
        print(_GAP.join(cells).rstrip())


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
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
    return True


def printable(text: str) -> str:
    """Return a text with its control characters written as escapes: data must not command the terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _padded(text: str, width: int, to_the_right: bool) -> str:
    padding = " " * (width - _width(text))
    return padding + text if to_the_right else text + padding
