"""A copy is made before a migration, on request, and holds the state before it."""

from __future__ import annotations

import sqlite3
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from backends.sql.schema import databases
from feedstore.backends.sql.address import parse_address
from feedstore.backends.sql.schema import HEAD, backup
from feedstore.backends.sql.schema.administration import Change, upgrade_database
from feedstore.errors import StorageError
from postgresql_programs import find_programs
from servers.postgresql import PostgreSQLServer

SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])
POSTGRESQL = pytest.mark.parametrize("database_kind", ["postgresql"])
NOW = datetime(2026, 11, 21, 4, 5, 6, tzinfo=timezone.utc)


class FrozenDatetime(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return NOW


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, a fresh one, where the clock stands still."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(backup, "datetime", FrozenDatetime)
    return folder


@SQLITE
def test_a_file_is_copied_beside_itself(database_url: str, engine: Engine, tmp_path: Path) -> None:
    databases.make_older(engine)
    before = databases.contents(engine)
    change = upgrade_database(database_url, backup=True)
    copy = tmp_path / "feeds.db.backup-20261121T040506Z"
    assert change == Change("0001", HEAD, str(copy))
    assert contents_of(f"sqlite:///{copy}") == before
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "length" in databases.columns(engine, "feedstore_timeline")


@SQLITE
def test_a_copy_holds_what_still_stands_in_the_write_ahead_log(database_url: str, engine: Engine) -> None:
    databases.execute(engine, "PRAGMA journal_mode=WAL")
    databases.make_older(engine)
    with engine.connect() as reader:
        reader.exec_driver_sql("SELECT * FROM feedstore_item")
        before = databases.contents(engine)
        change = upgrade_database(database_url, backup=True)
    assert contents_of(f"sqlite:///{change.backup}") == before


@SQLITE
def test_a_file_that_exists_is_never_overwritten(database_url: str, engine: Engine, tmp_path: Path) -> None:
    databases.make_older(engine)
    before = databases.contents(engine)
    taken = tmp_path / "feeds.db.backup-20261121T040506Z"
    taken.write_text("precious")
    with pytest.raises(StorageError, match=r"feeds\.db\.backup-20261121T040506Z exists already"):
        upgrade_database(database_url, backup=True)
    assert taken.read_text() == "precious"
    assert databases.contents(engine) == before


def test_nothing_is_copied_where_there_is_nothing_to_do(database_url: str, tmp_path: Path, here: Path) -> None:
    assert upgrade_database(database_url, backup=True) == Change("base", HEAD)
    assert upgrade_database(database_url, backup=True) == Change(HEAD, HEAD)
    assert list(here.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == []


@SQLITE
def test_a_copy_that_fails_leaves_nothing_and_changes_nothing(
    database_url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.make_older(engine)
    before = databases.contents(engine)
    read_only = SimpleNamespace(connect=lambda path: sqlite3.connect(f"file:{path}?mode=ro", uri=True))
    monkeypatch.setattr(backup, "sqlite3", read_only)
    with pytest.raises(StorageError, match="readonly"):
        upgrade_database(database_url, backup=True)
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == []
    assert databases.contents(engine) == before


@POSTGRESQL
def test_a_database_is_dumped_and_can_be_restored(
    database_url: str, engine: Engine, here: Path, postgresql_server: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = find_programs()
    assert programs is not None, "pg_dump is part of PostgreSQL, which `make test` installs"
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    databases.make_others_table(engine)
    databases.make_older(engine)
    before = databases.contents(engine)
    change = upgrade_database(database_url, backup=True)
    name = str(engine.url.database)
    assert change == Change("0001", HEAD, f"{name}.backup-20261121T040506Z")
    restored = postgresql_server.create_database()
    try:
        url = postgresql_server.url(restored)
        subprocess.run([programs / "pg_restore", f"--dbname={url}", str(change.backup)], check=True)
        ours = {table: rows for table, rows in before.items() if table.startswith("feedstore_")}
        assert contents_of(url) == ours
    finally:
        postgresql_server.drop_database(restored)


@POSTGRESQL
def test_the_password_goes_by_the_environment_alone(
    database_url: str, engine: Engine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.make_older(engine)
    fake_program(here, 'printf "%s\\n" "$@" > arguments; printf %s "$PGPASSWORD" > password; printf copy')
    monkeypatch.setenv("PATH", str(here), prepend=":")
    change = upgrade_database(with_password(database_url), backup=True)
    assert change.backup is not None
    assert Path(change.backup).read_text() == "copy"
    assert (here / "password").read_text() == "a secret/word"
    arguments = (here / "arguments").read_text()
    assert "secret" not in arguments
    assert "--table=feedstore_*" in arguments


@POSTGRESQL
def test_a_dump_that_fails_leaves_nothing_and_changes_nothing(
    database_url: str, engine: Engine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.make_older(engine)
    before = databases.contents(engine)
    fake_program(here, "printf half; echo 'no such server' >&2; exit 3")
    monkeypatch.setenv("PATH", str(here), prepend=":")
    with pytest.raises(StorageError, match="pg_dump failed with status 3: no such server"):
        upgrade_database(database_url, backup=True)
    assert [path.name for path in here.iterdir()] == ["pg_dump"]
    assert databases.contents(engine) == before


@POSTGRESQL
def test_without_pg_dump_one_error_says_so(
    database_url: str, engine: Engine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.make_older(engine)
    monkeypatch.setenv("PATH", str(here))
    with pytest.raises(StorageError, match="pg_dump is not on PATH: install PostgreSQL's client programs"):
        upgrade_database(database_url, backup=True)
    assert list(here.iterdir()) == []
    assert "length" not in databases.columns(engine, "feedstore_timeline")


def contents_of(url: str) -> dict[str, Any]:
    """The content of another database."""
    engine = create_engine(parse_address(url).url)
    try:
        return databases.contents(engine)
    finally:
        engine.dispose()


def fake_program(folder: Path, script: str) -> None:
    """Put a ``pg_dump`` of the test's own into the folder."""
    program = folder / "pg_dump"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def with_password(url: str) -> str:
    """The URL with a password, which a server that trusts all users does not check."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}:a%20secret%2Fword@{host}/{path}"
