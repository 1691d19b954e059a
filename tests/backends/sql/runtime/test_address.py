"""URLs: their meaning, and no password in any message."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from feedstore import connect
from feedstore.backends.sql.address import parse_address
from feedstore.errors import FeedstoreError, InvalidTypeError, InvalidValueError

SECRET = "s3cret"


def test_a_relative_path_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with connect("sqlite:///feeds.db") as backend:
        os.chdir("/")
        backend.kv_storage().upsert("key", 1)
    assert (tmp_path / "feeds.db").exists()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////tmp/a.db", "/tmp/a.db"),
        ("sqlite:////tmp/a%20b%3f%23%25.db", "/tmp/a b?#%.db"),
        ("sqlite:////tmp/a#b+c.db?busy_timeout=5", "/tmp/a#b+c.db"),
        ("SQLite:////tmp/%C3%A9.db", "/tmp/é.db"),
    ],
)
def test_paths_may_be_percent_encoded(url: str, path: str) -> None:
    assert parse_address(url).label == path


def test_a_path_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Decoded with a replacement character, it named another file."""
    with pytest.raises(InvalidValueError, match=r"caf%E9\.db.* not UTF-8"):
        connect(f"sqlite:///{tmp_path}/caf%E9.db").ping()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory"])
def test_sqlite_in_memory_points_to_memory(url: str) -> None:
    with pytest.raises(InvalidValueError, match="memory://"):
        connect(url)


def test_a_sqlite_url_names_no_host() -> None:
    with pytest.raises(InvalidValueError, match="three slashes"):
        connect("sqlite://feeds.db")
    with pytest.raises(InvalidValueError, match="NUL"):
        connect("sqlite:///a%00b")
    with pytest.raises(InvalidTypeError, match="not int"):
        parse_address(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["mysql", "postgresql+psycopg2", "oracle"])
def test_other_databases_are_refused(scheme: str) -> None:
    with pytest.raises(InvalidValueError, match="known are"):
        connect(f"{scheme}://ann:{SECRET}@host/db")
    with pytest.raises(InvalidValueError, match="postgresql://"):
        parse_address(f"{scheme}://ann:{SECRET}@host/db")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_parts_of_a_server_url(scheme: str) -> None:
    url = parse_address(f"{scheme}://ann%40x:p%2Fw%3F@db.example:5433/fe%20eds?namespace=app&sslmode=require").url
    parts = (url.drivername, url.username, url.password, url.host, url.port, url.database)
    assert parts == ("postgresql+psycopg", "ann@x", "p/w?", "db.example", 5433, "fe eds")


@pytest.mark.parametrize(("host", "expected"), [("[::1]", "::1"), ("", None), ("db", "db")])
def test_hosts(host: str, expected: str | None) -> None:
    assert parse_address(f"postgresql://{host}/feeds").url.host == expected


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{SECRET}/x@host/db",
        f"postgresql://ann:x?{SECRET}@host/db",
        f"postgresql://ann:x#{SECRET}@host/db",
        f"postgresql://ann:x/y#{SECRET}",
        f"postgresql://ann:{SECRET}@host:port/db",
        f"postgresql://ann:{SECRET}@@host/db",
        f"postgresql://ann:{SECRET}@host/db?",
        f"postgresql://ann:{SECRET}@host/db?nonsense",
        f"postgresql://ann:{SECRET}@host/db?pool_size=0",
        f"postgresql://ann:{SECRET}@host/db?pool_size=1&pool_size=2",
        f"postgresql://ann:{SECRET}@host/db?passwort=x",
        f"postgresql://ann:{SECRET}@127.0.0.1:1/db?connect_timeout=2",
        f"postgresql://ann:{SECRET}@host.invalid/db?connect_timeout=2",
        f"postgresql://ann:{SECRET}@127.0.0.1:1/db?sslmode=nonsense",
    ],
)
def test_no_password_gets_out(url: str) -> None:
    shown = ""
    try:
        backend = connect(url)
        shown = f"{backend!r} {backend}"
        backend.ping()
    except FeedstoreError as error:
        shown += "".join(traceback.format_exception(error)) + repr(error) + repr(error.__cause__)
    assert shown
    # The line of source that the traceback shows names the variable, not the value.
    assert SECRET not in shown
