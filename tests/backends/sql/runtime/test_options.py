"""Options, by URL and by keyword."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from feedstore import connect
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.options import LIBPQ_OPTIONS, OPTIONS, POSTGRESQL, SQLITE, read_options
from feedstore.errors import InvalidTypeError, InvalidValueError, MissingDriverError

URLS = {SQLITE: "sqlite:////nowhere/feeds.db", POSTGRESQL: "postgresql://ann@nowhere.invalid/feeds"}


@pytest.mark.parametrize("dialect", URLS)
def test_every_option_has_a_default_that_ends(dialect: str) -> None:
    options = read_options(dialect, {}, {})
    assert set(options) == {name for name, option in OPTIONS.items() if dialect in option.dialects}
    numbers = [value for value in options.values() if isinstance(value, (int, float))]
    assert numbers
    assert all(0 < number < 1000 for number in numbers)


def test_an_option_is_read_alike_from_a_url_and_by_keyword() -> None:
    by_url = read_options(POSTGRESQL, {"pool_size": "3", "statement_timeout": "1.5", "schema": "check"}, {})
    by_keyword = read_options(POSTGRESQL, {}, {"pool_size": 3, "statement_timeout": 1.5, "schema": "check"})
    assert by_url == by_keyword
    assert (by_url["pool_size"], by_url["statement_timeout"], by_url["schema"]) == (3, 1.5, "check")


def test_the_namespace_may_stand_in_the_url() -> None:
    assert connect("sqlite:////nowhere/feeds.db?namespace=app").namespace == "app"
    with pytest.raises(InvalidValueError, match="namespace"):
        connect("sqlite:////nowhere/feeds.db?namespace=a.b")


@pytest.mark.parametrize(
    ("dialect", "name", "value", "error"),
    [
        (SQLITE, "busy_timeout", 0, InvalidValueError),
        (SQLITE, "busy_timeout", -1, InvalidValueError),
        (SQLITE, "busy_timeout", float("inf"), InvalidValueError),
        (SQLITE, "busy_timeout", float("nan"), InvalidValueError),
        (SQLITE, "busy_timeout", "soon", InvalidValueError),
        (SQLITE, "busy_timeout", True, InvalidTypeError),
        (SQLITE, "synchronous", "off", InvalidValueError),
        (SQLITE, "synchronous", 1, InvalidTypeError),
        (SQLITE, "cache_size", 0, InvalidValueError),
        (SQLITE, "cache_size", 1.5, InvalidTypeError),
        (SQLITE, "pool_size", 3, InvalidTypeError),
        (SQLITE, "sslmode", "require", InvalidTypeError),
        (SQLITE, "schema", "make", InvalidValueError),
        (POSTGRESQL, "pool_size", "1e3", InvalidValueError),
        (POSTGRESQL, "pool_size", 10_001, InvalidValueError),
        (POSTGRESQL, "busy_timeout", 3, InvalidTypeError),
        (POSTGRESQL, "password", "x", InvalidTypeError),
        (POSTGRESQL, "sslmode", 1, InvalidTypeError),
        (POSTGRESQL, "polo_size", 1, InvalidTypeError),
    ],
)
def test_a_wrong_option_is_refused_by_name(dialect: str, name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=name):
        connect(URLS[dialect], **{name: value})


def test_none_counts_as_not_given() -> None:
    assert read_options(SQLITE, {}, {"busy_timeout": None, "schema": None}) == read_options(SQLITE, {}, {})


def test_an_option_is_given_once() -> None:
    with pytest.raises(InvalidValueError, match="busy_timeout"):
        connect("sqlite:////nowhere/feeds.db?busy_timeout=3", busy_timeout=3)
    with pytest.raises(InvalidValueError, match="repeats an option"):
        connect("sqlite:////nowhere/feeds.db?busy_timeout=3&busy_timeout=3")


@pytest.mark.parametrize("name", LIBPQ_OPTIONS)
def test_no_name_of_libpqs_is_one_of_ours(name: str) -> None:
    assert name not in OPTIONS
    assert "pass" not in name or name == "passfile"


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDriverError, match=r'pip install "feedstore\[postgresql\]"'):
        connect(URLS[POSTGRESQL])


def test_the_options_of_sqlite_take_effect(tmp_path: Path) -> None:
    with connect(f"sqlite:///{tmp_path / 'feeds.db'}?synchronous=full", cache_size=3, busy_timeout=1.5) as backend:
        assert isinstance(backend, SqlBackend)
        found = {
            name: backend.session.store.fetch(f"PRAGMA {name}", ())[0][0]
            for name in ("journal_mode", "synchronous", "cache_size", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "cache_size": -3 * 1024, "busy_timeout": 1500}


def test_the_options_of_postgresql_take_effect(postgresql_database: str) -> None:
    options = {"statement_timeout": 1.5, "application_name": "reports", "connect_timeout": 3, "pool_size": 2}
    with connect(postgresql_database, **options) as backend:
        assert isinstance(backend, SqlBackend)
        settings = ("statement_timeout", "application_name")
        found = [backend.session.store.fetch(f"SHOW {name}", ())[0][0] for name in settings]
        assert found == ["1500ms", "reports"]
