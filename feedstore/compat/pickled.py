"""A reader of pickles that calls and imports nothing.

:func:`read_pickle` carries out the opcodes of a pickle on a stack of its own. An object of a class, and the result of a
call, become a :class:`PickledObject`, which holds a name and a state only. A pickle may refer to one value many times.
The values that calls copy, and the plain values at the end, are therefore counted, and too many of them are refused, so
that the memory is proportional to the pickle.
:func:`plain_of` returns plain values, and refuses every other object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pickletools import genops
from typing import Any
from uuid import UUID

from feedstore.errors import InputError
from feedstore.shown import shown

MOST_PICKLE_BYTES = 16 * 2**20
_MOST_LEVELS = 200
_MOST_VALUES = 100_000
_DATETIME_BYTES, _DATE_BYTES = 10, 4
_LONGEST_NAME = 1000
_COPIES = 4
_KEYS = (str, int, float, bytes, date, type(None))
_KEY_BITS = 64


class PickledName:
    """The name of a class or a function in a pickle."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class PickledObject:
    """An object of a class, or the result of a call, as a pickle describes it."""

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Any = None


def read_pickle(data: bytes) -> Any:
    """Return the value of a pickle of any protocol, with a :class:`PickledObject` for each object and call.

    Raises:
        InputError: The pickle is damaged, longer than 16 MiB, or has an opcode that plain data and objects do not need.
    """
    if len(data) > MOST_PICKLE_BYTES:
        raise InputError(f"the pickle has {len(data):,} bytes; at most {MOST_PICKLE_BYTES:,} are read")
    machine = _Machine(len(data))
    try:
        for opcode, argument, _ in genops(data):
            machine.carry_out(opcode.name, argument)
        return machine.result()
    except InputError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, InvalidOperation, RecursionError) as error:
        raise InputError(f"the pickle is damaged: {shown(str(error), 80)}") from None


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, size: int) -> None:
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._left_to_copy = _MOST_VALUES + _COPIES * size

    def result(self) -> Any:
        (value,) = self._stack
        return value

    def carry_out(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in _NOTHING:
            raise InputError(f"the pickle has the opcode {name}, which plain data do not need")

    def _mark(self, _: Any) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _pop_to_mark(self, _: Any) -> None:
        self._since_mark()

    def _repeat(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, index: Any) -> None:
        self._memo[int(index)] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: Any) -> None:
        self._stack.append(self._memo[int(index)])

    def _old_text(self, text: str) -> None:
        """Push a str of Python 2: UTF-8 if its bytes are, otherwise bytes."""
        data = text.encode("latin-1")
        try:
            self._stack.append(data.decode())
        except UnicodeDecodeError:
            self._stack.append(data)

    def _list(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append(items)

    def _tuple(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append(tuple(items))

    def _short_tuple(self, length: int) -> None:
        self._stack[-length:] = [tuple(self._stack[-length:])]

    def _dict(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append(_set_items({}, items))

    def _append(self, _: Any) -> None:
        item = self._stack.pop()
        _checked(self._stack[-1], list).append(item)

    def _append_all(self, _: Any) -> None:
        items = self._since_mark()
        _checked(self._stack[-1], list).extend(items)

    def _set_item(self, _: Any) -> None:
        items, self._stack[-2:] = self._stack[-2:], []
        _set_items(_checked(self._stack[-1], dict), items)

    def _set_all(self, _: Any) -> None:
        items = self._since_mark()
        _set_items(_checked(self._stack[-1], dict), items)

    def _add_all(self, _: Any) -> None:
        items = self._since_mark()
        _checked(self._stack[-1], set).update(map(_checked_key, items))

    def _frozen_set(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append(set(map(_checked_key, items)))

    def _global(self, names: str) -> None:
        self._stack.append(PickledName(names.replace(" ", ".")))

    def _stack_global(self, _: Any) -> None:
        module, name = (_checked(one, str) for one in self._stack[-2:])
        if len(module) + len(name) > _LONGEST_NAME:
            raise InputError(f"the pickle has a name of more than {_LONGEST_NAME:,} characters")
        self._stack[-2:] = [PickledName(f"{module}.{name}")]

    def _call(self, _: Any) -> None:
        named, arguments = self._stack[-2:]
        self._left_to_copy -= sum(len(one) for one in _checked(arguments, tuple) if isinstance(one, _COPIED))
        if self._left_to_copy < 0:
            raise InputError(_REPEATS)
        self._stack[-2:] = [_called(named, arguments)]

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        _checked(self._stack[-1], PickledObject).state = state


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"it needs a {kind.__name__}, not a {type(value).__name__}")
    return value


def _checked_key(key: Any) -> Any:
    # The hash of a tuple visits everything in it, which may be the same tuple many times.
    if not isinstance(key, _KEYS):
        raise InputError(f"the pickle has a key of type {type(key).__name__}; a key must be a single value")
    # Numbers of any size can be chosen so that all have the same hash. Every addition would compare all of them.
    if isinstance(key, int) and key.bit_length() > _KEY_BITS:
        raise InputError(f"the pickle has a key with {key.bit_length():,} bits; at most {_KEY_BITS} are read")
    return key


def _set_items(target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[_checked_key(key)] = value
    return target


def _bytes_of(value: Any, length: int) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    if len(_checked(data, bytes)) != length:
        raise ValueError(f"a time has {length} bytes, not {len(data)}")
    return bytes(data)


def _datetime(data: Any, zone: Any = None) -> datetime:
    if isinstance(zone, PickledObject):
        zone = timezone.utc if zone.name in _UTC else _special(zone)
    data = _bytes_of(data, _DATETIME_BYTES)
    year, microsecond = int.from_bytes(data[:2], "big"), int.from_bytes(data[7:], "big")
    return datetime(year, data[2] & 0x7F, data[3], data[4], data[5], data[6], microsecond, zone, fold=data[2] >> 7)


def _date(data: Any) -> date:
    data = _bytes_of(data, _DATE_BYTES)
    return date(int.from_bytes(data[:2], "big"), data[2], data[3])


def _encoded(text: str, encoding: str = "") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes are written in latin1, not {shown(encoding, 20)}")
    return bytes(_checked(text, str).encode("latin-1"))


def _set(items: Iterable[Any] = ()) -> set[Any]:
    return set(map(_checked_key, _checked(items, (list, tuple)) if items else ()))  # type: ignore[arg-type]


_BUILDERS: dict[str, Callable[..., Any]] = {
    "datetime.datetime": _datetime,
    "datetime.date": _date,
    "datetime.timedelta": timedelta,
    "datetime.timezone": timezone,
    "decimal.Decimal": lambda text: Decimal(_checked(text, str)),
    "_codecs.encode": _encoded,
    "collections.OrderedDict": dict,
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "__builtin__.set": _set,
    "__builtin__.frozenset": _set,
}
"""The calls whose results are plain values, or parts of them."""
_COPIED = (str, bytes, list, tuple)
_REPEATS = "the pickle repeats its parts so often that they would fill the memory"
_UTC = frozenset({"pytz._UTC", "django.utils.timezone.UTC"})
_NEW_OBJECT = frozenset(
    {"copyreg.__newobj__", "copy_reg.__newobj__", "copyreg._reconstructor", "copy_reg._reconstructor"}
)


def _called(named: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(named, PickledObject):
        # For instance, getattr has returned a method.
        return PickledObject(named.name)
    name = _checked(named, PickledName).name
    if name in _NEW_OBJECT:
        return PickledObject(_checked(arguments[0], PickledName).name)
    if name == "collections.OrderedDict" and arguments:
        raise ValueError("an OrderedDict has no arguments")
    build = _BUILDERS.get(name)
    return PickledObject(name) if build is None else build(*arguments)


def _new_object(machine: _Machine, _: Any) -> None:
    machine._stack[-2:] = [PickledObject(_checked(machine._stack[-2], PickledName).name)]


_NOTHING = frozenset({"PROTO", "FRAME", "STOP"})
_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": tuple,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "POP": _Machine._pop,
    "POP_MARK": _Machine._pop_to_mark,
    "DUP": _Machine._repeat,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine._put),
    "MEMOIZE": _Machine._memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine._get),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _Machine._old_text),
    "LIST": _Machine._list,
    "TUPLE": _Machine._tuple,
    "TUPLE1": lambda machine, _: machine._short_tuple(1),
    "TUPLE2": lambda machine, _: machine._short_tuple(2),
    "TUPLE3": lambda machine, _: machine._short_tuple(3),
    "DICT": _Machine._dict,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._append_all,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_all,
    "ADDITEMS": _Machine._add_all,
    "FROZENSET": _Machine._frozen_set,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "REDUCE": _Machine._call,
    "NEWOBJ": _new_object,
    "BUILD": _Machine._build,
}


def plain_of(value: Any, changes: Counter[str], size: int = 0) -> Any:
    """Return the plain values of a result of :func:`read_pickle`, and count the changes that feedstore needs.

    Args:
        value: The value.
        changes: Receives the number of tuples and sets that became lists, and of naive times that became UTC.
        size: The number of bytes of the pickle. A pickle whose values refer to each other so often that they would
            become far more than this number is refused, and one whose strs, bytes and numbers would have more than
            16 MiB together.

    Raises:
        InputError: A value is not plain. The error names its class or function.
    """
    return _Plain(changes, _MOST_VALUES + size).of(value, _MOST_LEVELS)


class _Plain:
    """One conversion into plain values."""

    def __init__(self, changes: Counter[str], most: int) -> None:
        self._changes = changes
        self._left = most
        self._left_bytes = MOST_PICKLE_BYTES

    def of(self, value: Any, levels: int) -> Any:
        self._left -= 1
        self._left_bytes -= _length_of(value)
        if self._left < 0 or self._left_bytes < 0:
            raise InputError(_REPEATS)
        if levels <= 0:
            raise InputError(f"the pickle is nested more than {_MOST_LEVELS} levels deep, or holds itself")
        if isinstance(value, dict):
            return {self.of(key, 1): self.of(item, levels - 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set)):
            return self._list_of(value, levels)
        if type(value) is datetime and value.tzinfo is None:
            self._changes["times without a timezone in contexts are read as UTC"] += 1
            return value.replace(tzinfo=timezone.utc)
        if isinstance(value, (PickledObject, PickledName, timedelta, timezone)):
            return _special(value)
        return value

    def _list_of(self, value: Any, levels: int) -> list[Any]:
        if not isinstance(value, list):
            self._changes[f"{type(value).__name__}s in contexts become lists"] += 1
        if isinstance(value, set):
            value = sorted(value, key=lambda one: (type(one).__name__, str(one)))
        return [self.of(item, levels - 1) for item in value]


def _length_of(value: Any) -> int:
    """Return the approximate number of bytes in which a single value is stored."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, int):
        return value.bit_length() // 8
    return len(value.as_tuple().digits) if isinstance(value, Decimal) else 0


def _special(value: Any) -> Any:
    if isinstance(value, PickledObject) and value.name == "uuid.UUID" and isinstance(value.state, dict):
        number = value.state.get("int")
        if isinstance(number, int) and 0 <= number < 2**128:
            return UUID(int=number)
    name = value.name if isinstance(value, (PickledObject, PickledName)) else type(value).__name__
    raise InputError(f"the pickle holds {shown(name, 80)}; only plain data are read, and nothing is called")
