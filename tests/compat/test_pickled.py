"""The reader of pickles: plain data of every protocol, and the tricks of hostile pickles."""

from __future__ import annotations

import builtins
import os
import pickle
import subprocess
import sys
from collections import Counter, OrderedDict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedstore.compat.pickled import MOST_PICKLE_BYTES, PickledObject, plain_of, read_pickle
from feedstore.errors import InputError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def plain(data: bytes) -> Any:
    return plain_of(read_pickle(data), Counter(), len(data))


@settings(max_examples=25)
@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_of_every_protocol(value: Any, protocol: int) -> None:
    assert plain(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_values_of_classes_that_are_plain(protocol: int) -> None:
    instant = datetime(2013, 7, 4, 12, 0, 0, 123456)  # noqa: DTZ001 - stream_framework's times are naive
    shared = ["one", "two"]
    value = {
        "naive": instant,
        "aware": instant.replace(tzinfo=timezone(timedelta(hours=2))),
        "day": date(2013, 7, 4),
        "number": Decimal("1.50"),
        "uuid": UUID(int=7),
        "ordered": OrderedDict([("b", 1), ("a", 2)]),
        "tuple": (1, 2),
        "set": {3, 1, 2},
        "again": [shared, shared],
    }
    changes: Counter[str] = Counter()
    data = pickle.dumps(value, protocol)
    assert plain_of(read_pickle(data), changes, len(data)) == {
        **value,
        "naive": instant.replace(tzinfo=timezone.utc),
        "tuple": [1, 2],
        "set": [1, 2, 3],
    }
    assert sum(changes.values()) == 3


def test_strs_of_python_2() -> None:
    """Protocols 0 and 2 of Python 2, with a str of bytes, a unicode str and a long."""
    assert plain(b"(dp0\nS'name'\np1\nVann\\u00e9\np2\nsS'n'\np3\nL7L\ns.") == {"name": "ann\u00e9", "n": 7}
    assert plain(b"\x80\x02}q\x00U\x04nameq\x01U\x03\xc3\xa9aq\x02s.") == {"name": "\u00e9a"}
    assert plain(b"\x80\x02U\x02\xff\xfe.") == b"\xff\xfe"


class _Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "call",
    [
        _Call(os.system, "echo pwned"),
        _Call(eval, "1 + 1"),
        _Call(exec, "import os"),
        _Call(subprocess.Popen, ["true"]),
        _Call(getattr, {}, "clear"),
        _Call(builtins.__import__, "os"),
        _Call(bytearray, b"x"),
        _Call(timedelta, 1),
        _Call(Path, "/etc/passwd"),
    ],
)
def test_calls_are_refused_by_name(call: _Call, protocol: int) -> None:
    with pytest.raises(InputError, match="only plain data are read"):
        plain(pickle.dumps({"a": [call]}, protocol))


def test_nothing_is_called_nor_imported(tmp_path: Path) -> None:
    marker = tmp_path / "called"
    data = pickle.dumps(_Call(os.mkdir, str(marker)))
    found = read_pickle(data)
    assert isinstance(found, PickledObject)
    assert found.name.endswith(".mkdir")
    assert not marker.exists()
    module = "antigravity"
    assert isinstance(read_pickle(b"c" + module.encode() + b"\nfly\n)R."), PickledObject)
    assert module not in sys.modules


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"N",
        b"NN.",
        b"(",
        b"0.",
        b"t.",
        b"h\x07.",
        b"}(X\x01\x00\x00\x00as.",
        b"Na.",
        b"NR.",
        b"cos\nsystem\nNR.",
        b"N)\x81.",
        b"Nb.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x96\xff\xff\xff\xff\xff\x00\x00\x00.",
        b"X\xff\xff\xff\xffabc.",
        b"I" + b"9" * 5000 + b"\n.",
        b"Fabc\n.",
        b"Pid\n.",
        b"NQ.",
        b"\x82\x01.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\no.",
        b"cdatetime\ndatetime\n(C\x0a" + b"\xff" * 10 + b"tR.",
        b"cdatetime\ndatetime\n(C\x03abctR.",
        b"cdatetime\ndate\n(I1\nI2\nI3\nI4\ntR.",
        b"cdecimal\nDecimal\n(X\x01\x00\x00\x00xtR.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00xX\x03\x00\x00\x00hextR.",
        b"ccollections\nOrderedDict\n(]tR.",
        b"cbuiltins\nset\n(](]aatR.",
        b"}()Ns.",
        b"}(((tNs.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x97.",
        b"\x80\x03" + b"N" * 3,
    ],
)
def test_damaged_and_foreign_pickles_are_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        read_pickle(data)


def test_a_large_memo_takes_no_memory() -> None:
    """A list of two thousand million slots would be the memo of other readers."""
    assert plain(b"Nr\xff\xff\xff\x7f.") is None


def test_bombs_of_references_are_refused() -> None:
    """Each list holds the one before twice: 2**60 values in 200 bytes. A tuple as a key would be hashed as often."""
    lists = b"]q\x000" + b"".join(
        b"](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) + b"0" for n in range(60)
    )
    with pytest.raises(InputError, match="repeats its parts"):
        plain(lists + b"h\x3c.")
    tuples = b")q\x000" + b"".join(
        b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) + b"0" for n in range(60)
    )
    with pytest.raises(InputError, match="key"):
        read_pickle(tuples + b"}h\x3cNs.")


@pytest.mark.parametrize(
    "repeated",
    [
        # Bytes that a call copies, a set of 30,000 members, and a name.
        b"X\x40\x42\x0f\x00%bq\x000X\x06\x00\x00\x00latin1q\x010c_codecs\nencode\nq\x020](%be."
        % (b"a" * 1_000_000, b"h\x02h\x00h\x01\x86R" * 1000),
        b"](%beq\x000cbuiltins\nset\nq\x010](%be."
        % (b"".join(b"J" + n.to_bytes(4, "little") for n in range(30_000)), b"h\x01h\x00\x85R" * 1000),
        b"X\x40\x42\x0f\x00%bq\x000](%be." % (b"a" * 1_000_000, b"h\x00h\x00\x93" * 1000),
        # Plain values, of a million bytes each.
        b"](X\x40\x42\x0f\x00%bq\x00%be." % (b"a" * 1_000_000, b"h\x00" * 1000),
        b"](\x8b\x40\x42\x0f\x00%bq\x00%be." % (b"\x7f" * 1_000_000, b"h\x00" * 1000),
        b"](cdecimal\nDecimal\n(X\x40\x42\x0f\x00%btRq\x00%be." % (b"9" * 1_000_000, b"h\x00" * 1000),
    ],
    ids=["bytes", "set", "name", "str", "int", "Decimal"],
)
def test_bombs_of_large_values_are_refused(repeated: bytes) -> None:
    with pytest.raises(InputError, match=r"repeats its parts|a name of more than"):
        plain(repeated)


def test_keys_that_can_have_one_hash_are_refused() -> None:
    """Each addition to a dict would compare all numbers with the same hash."""
    modulus = sys.hash_info.modulus
    with pytest.raises(InputError, match=r"key with \d+ bits"):
        read_pickle(pickle.dumps({n * modulus: n for n in range(1, 100)}))
    with pytest.raises(InputError, match="key of type Decimal"):
        read_pickle(pickle.dumps({Decimal(modulus)}))
    assert plain(pickle.dumps({2**64 - 1: 1, -(2**63): 2}))


def test_timezones_of_other_libraries_are_refused_by_name() -> None:
    """The pickle of a ZoneInfo calls the method that getattr returns, and that of another library calls a function."""
    zoned = datetime(2013, 7, 4, tzinfo=ZoneInfo("Europe/Berlin"))
    with pytest.raises(InputError, match=r"builtins\.getattr"):
        plain(pickle.dumps(zoned))
    with pytest.raises(InputError, match=r"pytz\._p"):
        plain(b"cdatetime\ndatetime\n(C\x0a\x07\xdd\x07\x04\x0c\x00\x00\x00\x00\x00cpytz\n_p\n(VEurope/Berlin\ntRtR.")


def test_what_holds_itself_and_deep_nests_are_refused() -> None:
    with pytest.raises(InputError, match="levels deep"):
        plain(b"]q\x00h\x00a.")
    with pytest.raises(InputError, match="levels deep"):
        plain(b"]" * 5000 + b"a" * 4999 + b".")
    with pytest.raises(InputError, match="at most"):
        read_pickle(b"N" * (MOST_PICKLE_BYTES + 1))
