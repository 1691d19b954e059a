"""How backends read the values of their options, which are texts in a URL and anything by keyword.

A reader takes an option's name and a value, and returns the value as it is used. A value of the wrong type is an
:class:`InvalidTypeError`, any other that cannot be used an :class:`InvalidValueError`; both name the option, and say
what to pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

Reader = Callable[[str, object], Any]

DAY_SECONDS = 86_400.0


def parse_query(query: str) -> dict[str, str]:
    """Return the options in a URL's query, percent-decoded; none of them may stand there twice."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        raise InvalidValueError("cannot read the URL's query; it has the form ?option=value&option=value") from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InvalidValueError("an option stands twice in the URL's query; pass it once")
    return options


def given_once(query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a URL's query and those by keyword together; one that stands in both is refused."""
    twice = sorted(set(query) & set(keywords))
    if twice:
        raise InvalidValueError(f"the option {twice[0]} stands in the URL and among the keywords; pass it once")
    return {**query, **keywords}


def read_text(name: str, value: object) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise InvalidTypeError(f"the option {name} must be a str, not {shown(value)} of type {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(
            f"the option {name} is {shown(value)}, which contains a lone surrogate and cannot be encoded as UTF-8"
        ) from None
    return value


def read_file(name: str, value: object) -> str:
    """Return the path of a file that is there."""
    path = read_text(name, value)
    if not os.path.isfile(path):
        raise InvalidValueError(f"the option {name} is {shown(path)}, and there is no such file")
    return path


def read_flag(name: str, value: object) -> bool:
    """Return a bool; in a URL it is ``true`` or ``false``."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise InvalidValueError(f"the option {name} is {shown(value)}; it is true or false")


def read_choice(*choices: str) -> Callable[[str, object], str]:
    """Return a reader of one of several lower-case words, in whatever case it is given."""

    def read(name: str, value: object) -> str:
        chosen = read_text(name, value).lower()
        if chosen not in choices:
            raise InvalidValueError(f"the option {name} is {shown(chosen)}; it is one of {', '.join(choices)}")
        return chosen

    return read


def read_count(lowest: int, highest: int) -> Callable[[str, object], int]:
    """Return a reader of a whole number between two, both included."""

    def read(name: str, value: object) -> int:
        count = _number(name, value, int, "a whole number")
        if not lowest <= count <= highest:
            raise InvalidValueError(f"the option {name} is {shown(value)}; it lies between {lowest} and {highest}")
        return int(count)

    return read


def read_seconds(longest: float = DAY_SECONDS, zero: bool = False) -> Callable[[str, object], float]:
    """Return a reader of seconds above 0, or with ``zero`` also of 0, up to ``longest``."""

    def read(name: str, value: object) -> float:
        seconds = _number(name, value, float, "a number of seconds")
        if not 0 <= seconds <= longest or not (seconds or zero):
            least = "from 0" if zero else "above 0 and"
            raise InvalidValueError(f"the option {name} is {shown(value)}; it lies {least} up to {longest:.0f} seconds")
        return float(seconds)

    return read


def _number(name: str, value: object, kind: type[int] | type[float], what: str) -> float:
    if isinstance(value, str):
        try:
            value = kind(value)
        except ValueError:
            raise InvalidValueError(f"the option {name} is {shown(value)}; it is {what}") from None
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        raise InvalidTypeError(f"the option {name} is {what}, not {shown(value)} of type {type(value).__name__}")
    if value != value:
        raise InvalidValueError(f"the option {name} is {shown(value)}; it is {what}")
    return value
