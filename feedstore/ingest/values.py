"""Values in JSON that activities can carry."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from feedstore.errors import InvalidValueError
from feedstore.plain_values import finite_number
from feedstore.serializers.values import pack_value
from feedstore.shown import shown

_SHOWN_CHARACTERS = 40

MAX_DEPTH = 100
"""The most levels of objects and lists in one value."""


def decode_object(text: str, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Return the object that a str holds as JSON.

    Args:
        text: the JSON.
        max_depth: the most levels of objects and lists.

    Raises:
        InvalidValueError: The str is not JSON, not an object, or holds a value that is refused: NaN, an infinity, a
            number too large for a float, a repeated name in one object, a lone surrogate, or more levels than
            ``max_depth``.
    """
    value = _decoded_flat(text)
    if value is not None:
        return value
    try:
        value = _decoder.decode(text)
    except InvalidValueError:
        raise
    except json.JSONDecodeError as error:
        raise InvalidValueError(f"{_shortened(text)} is not JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(f"{_shortened(text)} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise InvalidValueError(f'{_shortened(text)} is JSON, but not an object; write it as in {{"name":1}}')
    if text.count("[") + text.count("{") > max_depth:
        _check_depth(value, text, max_depth)
    if "\\u" in text:
        # Only an escape makes a lone surrogate; every other value that the decoder returns can be stored.
        pack_value(value)
    return value


def _decoded_flat(text: str) -> dict[str, Any] | None:
    """Return the object of compact JSON without escapes and inner objects if nothing is wrong with it, else None.

    Most rows have such an object, and C decodes it without a call of Python for each object. Each name ends with a
    quote and a colon, so an object with as many items as the JSON has such pairs repeats no name.
    """
    if text[:1] != "{" or "\\" in text or text.count("{") > 1 or text.count("[") >= MAX_DEPTH:
        return None
    if '" ' in text or not text.isprintable():
        # White space may separate a name from its colon.
        return None
    try:
        value, end = _flat_decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) and len(value) == text.count('":') else None


def _check_depth(value: Any, text: str, max_depth: int) -> None:
    level = [value]
    for _ in range(max_depth):
        level = [inner for outer in level for inner in _contents(outer)]
        if not level:
            return
    raise InvalidValueError(f"{_shortened(text)} is nested more than {max_depth} levels deep")


def _contents(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise InvalidValueError(f"the name {shown(repeated, _SHOWN_CHARACTERS)} is repeated in one JSON object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidValueError(f"{name} is not a JSON value; leave it out or write null")


def _shortened(text: str) -> str:
    return shown(text, _SHOWN_CHARACTERS)


_decoder = json.JSONDecoder(object_pairs_hook=_object_of, parse_float=finite_number, parse_constant=_refuse_constant)
_flat_decoder = json.JSONDecoder(parse_float=finite_number, parse_constant=_refuse_constant)
