"""The representation of values in messages, which is bounded in length and never raises.

``repr`` guarantees neither: it raises ``ValueError`` for an int of more than 4,300 digits, ``RecursionError`` for deep
nesting and any exception for an object with a faulty ``__repr__``, and it returns megabytes for a large value. That
exception would replace the error that the message describes.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

LONGEST = 200
WHOLE_KEY = 1024
"""Pass it as ``longest`` where a message must name a key completely."""
_DEEPEST = 5
_MOST_ITEMS = 10
_MOST_BITS = 512
_DIGITS_AT_A_TIME = 4000
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}


def shown(value: object, longest: int = LONGEST) -> str:
    """Return ``repr(value)``, cut after about ``longest`` characters.

    An int of more than 512 bits is described by its length, and containers show their first items alone.

    >>> shown("abc"), shown("a" * 300, 3), shown(2**20000)
    ("'abc'", "'aaa'…", '<int of 20001 bits>')
    """
    # SQL reads build the name of a value before they check the value, so this function must be cheap.
    if type(value) is str and len(value) <= longest:
        return repr(value)
    if type(value) is str or type(value) is bytes:
        return _text_of(value, 0, longest)
    text = _text_of(value, _DEEPEST, longest)
    return text if len(text) <= longest else f"{text[:longest]}…"


def expression_of(value: object) -> str:
    """Return an expression of a plain value: its ``repr``, with ``float('nan')`` for a float that has no literal."""
    text = repr(value)
    if "nan" not in text and "inf" not in text:
        return text
    if type(value) is dict:
        return f"{{{', '.join(f'{expression_of(key)}: {expression_of(one)}' for key, one in value.items())}}}"
    if type(value) is list:
        return f"[{', '.join(map(expression_of, value))}]"
    return f"float({text!r})" if type(value) is float else text


def decimal_digits(value: int) -> str:
    """Return an int of any size in decimal digits, even if ``str`` refuses it because of its length."""
    if value.bit_length() <= _MOST_BITS:
        return int.__repr__(value)
    sign, rest, parts = "-" if value < 0 else "", abs(value), []
    base = 10**_DIGITS_AT_A_TIME
    while rest >= base:
        rest, part = divmod(rest, base)
        parts.append(f"{part:0{_DIGITS_AT_A_TIME}d}")
    return sign + str(rest) + "".join(reversed(parts))


def _text_of(value: Any, levels: int, longest: int) -> str:
    kind = type(value)
    if kind is str or kind is bytes:
        return repr(value) if len(value) <= longest else f"{value[:longest]!r}…"
    if kind is int and value.bit_length() > _MOST_BITS:
        return f"<int of {value.bit_length()} bits>"
    if kind in _BRACKETS:
        return _container_text(value, levels, longest)
    return _safe_repr(value)


def _container_text(value: Any, levels: int, longest: int) -> str:
    opening, closing = _BRACKETS[type(value)]
    if not value:
        return repr(value)
    if levels <= 0:
        return f"{opening}…{closing}"
    pairs = type(value) is dict
    items = [
        ": ".join(_text_of(part, levels - 1, longest) for part in (item if pairs else (item,)))
        for item in islice(value.items() if pairs else value, _MOST_ITEMS)
    ]
    if len(value) > _MOST_ITEMS:
        items.append("…")
    elif type(value) is tuple and len(value) == 1:
        closing = ",)"
    return f"{opening}{', '.join(items)}{closing}"


def _safe_repr(value: object) -> str:
    try:
        return str.__str__(repr(value))
    # The caller reports another error already, and the class of the value may raise any exception here.
    except Exception as error:  # noqa: BLE001
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
