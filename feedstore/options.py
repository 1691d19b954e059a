"""Options of backends: their tables, and the readers of their values, which are a str in a URL and any type by keyword.

A reader takes an option's name and a value, and returns the checked value. It raises :class:`InvalidTypeError` for a
value of the wrong type, and :class:`InvalidValueError` for any other value that cannot be used; both errors name the
option and the values to pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

Reader = Callable[[str, object], Any]

DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Option:
    """An option of a backend: its name, its default, the reader of its values, and its meaning.

    - ``dialects`` are the dialects that have the option; none means all.
    - ``is_of_connection`` is true if the option configures the connection. If the application passes a client of its
      own, that client has decided the option already.
    - ``driver_argument`` is the name of the driver's argument that the option becomes, if there is one.
    """

    name: str
    default: Any
    read: Reader
    meaning: str
    dialects: tuple[str, ...] = ()
    is_of_connection: bool = False
    driver_argument: str | None = None


class OptionTable(Mapping[str, Option]):
    """The options of a backend by name, which it takes in the URL's query and by keyword.

    ``owner`` is the backend's name in errors; the options of one dialect are those of :meth:`of_dialect`.
    """

    def __init__(self, owner: str, options: Iterable[Option]) -> None:
        self.owner = owner
        self._options = {option.name: option for option in options}

    def __getitem__(self, name: str) -> Option:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def of_dialect(self, dialect: str) -> OptionTable:
        """Return the table of the options that a dialect has."""
        return OptionTable(dialect, (option for option in self.values() if dialect in (option.dialects or (dialect,))))

    @property
    def defaults(self) -> dict[str, Any]:
        """The defaults of all options, by name."""
        return {name: option.default for name, option in self.items()}

    def read(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Return the checked values of the given options; a value of None counts as not given.

        Raises:
            InvalidTypeError: An option is unknown, or its value has the wrong type.
            InvalidValueError: An option has a bad value.
        """
        options: dict[str, Any] = {}
        for name, value in given.items():
            if name not in self:
                raise InvalidTypeError(f"unknown option {shown(name)}; {self.owner} takes {', '.join(self)}")
            if value is not None:
                options[name] = self[name].read(name, value)
        return options

    def refuse_of_connection(self, given: Iterable[str], client: str) -> None:
        """Raise :class:`InvalidTypeError` for an option that a passed client has decided already."""
        for name in given:
            if name in self and self[name].is_of_connection:
                raise InvalidTypeError(f"the option {name} belongs to the {client} that was passed; set it there")


def parse_query(query: str) -> dict[str, str]:
    """Return the options in a URL's query, percent-decoded. Raises :class:`InvalidValueError` for a repeated option."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        raise InvalidValueError("cannot read the URL's query; it has the form ?option=value&option=value") from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise InvalidValueError("the URL's query repeats an option; pass each option once")
    return options


def given_once(query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a URL's query and the keywords together.

    Raises :class:`InvalidValueError` for an option that is in both.
    """
    twice = sorted(set(query) & set(keywords))
    if twice:
        raise InvalidValueError(f"the option {twice[0]} is in the URL and among the keywords; pass it once")
    return {**query, **keywords}


def read_text(name: str, value: object) -> str:
    """Return the value, if it is a str that UTF-8 can encode."""
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
    """Return the path of an existing file."""
    path = read_text(name, value)
    if not os.path.isfile(path):
        raise InvalidValueError(f"the option {name} is {shown(path)}, but there is no such file")
    return path


def read_flag(name: str, value: object) -> bool:
    """Return a bool; in a URL it is ``true`` or ``false``."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise InvalidValueError(f"the option {name} is {shown(value)}; pass true or false")


def read_choice(*choices: str) -> Callable[[str, object], str]:
    """Return a reader of one of several lower-case words, which ignores the case of the value."""

    def read(name: str, value: object) -> str:
        chosen = read_text(name, value).lower()
        if chosen not in choices:
            raise InvalidValueError(f"the option {name} is {shown(chosen)}; pass one of {', '.join(choices)}")
        return chosen

    return read


def read_count(lowest: int, highest: int) -> Callable[[str, object], int]:
    """Return a reader of a whole number from ``lowest`` to ``highest``."""

    def read(name: str, value: object) -> int:
        count = _number(name, value, int, "a whole number")
        if not lowest <= count <= highest:
            raise InvalidValueError(f"the option {name} is {shown(value)}; pass a number from {lowest} to {highest}")
        return int(count)

    return read


def read_seconds(longest: float = DAY_SECONDS, zero: bool = False) -> Callable[[str, object], float]:
    """Return a reader of seconds greater than 0, or with ``zero`` from 0, up to ``longest``."""

    def read(name: str, value: object) -> float:
        seconds = _number(name, value, float, "a number of seconds")
        if not 0 <= seconds <= longest or not (seconds or zero):
            least = "from 0" if zero else "greater than 0 and"
            raise InvalidValueError(f"the option {name} is {shown(value)}; pass seconds {least} up to {longest:.0f}")
        return float(seconds)

    return read


def read_duration(name: str, value: object) -> timedelta:
    """Return a duration greater than 0."""
    if not isinstance(value, timedelta):
        raise InvalidTypeError(f"{name} must be a timedelta, not {shown(value)} of type {type(value).__name__}")
    if value <= timedelta(0):
        raise InvalidValueError(f"{name} is {shown(value)}; pass a duration greater than 0")
    return value


def _number(name: str, value: object, kind: type[int] | type[float], expected: str) -> float:
    if isinstance(value, str):
        try:
            value = kind(value)
        except ValueError:
            raise InvalidValueError(f"the option {name} is {shown(value)}; pass {expected}") from None
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        raise InvalidTypeError(
            f"the option {name} must be {expected}, not {shown(value)} of type {type(value).__name__}"
        )
    if value != value:
        raise InvalidValueError(f"the option {name} is {shown(value)}; pass {expected}")
    return value
