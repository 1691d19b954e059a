"""The suite's own servers: they end with their tests, and say why when they do not start."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

import postgresql_programs
from servers.disks import is_listed
from servers.postgresql import OwnPostgreSQLServer, PostgreSQLServer
from servers.process import ServerError, ServerProcess


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder where the only versions of PostgreSQL would be installed; there is none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgresql_programs, "INSTALLED", tmp_path)
    monkeypatch.delenv(postgresql_programs.URL_VARIABLE, raising=False)
    return tmp_path


def test_each_database_is_empty_and_of_its_own(postgresql_server: PostgreSQLServer, postgresql_database: str) -> None:
    other = postgresql_server.create_database()
    try:
        with psycopg.connect(postgresql_server.url(other)) as connection:
            connection.execute("CREATE TABLE here (one int)")
        with psycopg.connect(postgresql_database) as connection:
            tables = connection.execute("SELECT * FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert tables == []
    finally:
        postgresql_server.drop_database(other)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(postgresql_server.url(other))


def test_a_killed_server_starts_again_with_what_it_had_committed(own_postgresql_server: OwnPostgreSQLServer) -> None:
    url = own_postgresql_server.url("postgres")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    own_postgresql_server.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    own_postgresql_server.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_a_stopped_server_leaves_nothing() -> None:
    server = OwnPostgreSQLServer()
    process = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    server.stop()
    server.stop()
    assert not server.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_server_that_does_not_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerError, match=r"ended with status .*\n.*no_such_setting"):
        OwnPostgreSQLServer(settings=("no_such_setting=1",))


def test_a_server_that_never_answers_is_ended(tmp_path: Path) -> None:
    process = ServerProcess(["sleep", "600"], tmp_path)
    with pytest.raises(ServerError, match="the start of sleep did not happen within"):
        process.wait_until_ready(lambda: False, seconds=0.1)
    process.stop()


def test_missing_programs_are_named_with_the_way_to_have_them(no_programs: Path) -> None:
    with pytest.raises(ServerError, match=r"make test.*FEEDSTORE_TEST_POSTGRESQL"):
        OwnPostgreSQLServer()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "postgresql://user:secret@host:5433/main?sslmode=require",
            "postgresql://user:secret@host:5433/x?sslmode=require",
        ),
        ("postgres://host", "postgres://host/x"),
        ("postgresql:///main?host=/run/postgresql", "postgresql:///x?host=/run/postgresql"),
    ],
)
def test_a_given_server_is_asked_for_other_databases(given: str, expected: str) -> None:
    assert PostgreSQLServer(given).url("x") == expected


def test_a_url_of_another_form_is_refused_without_showing_it() -> None:
    with pytest.raises(ServerError, match="not of the form") as caught:
        PostgreSQLServer("mysql://user:secret@host/main")
    assert "secret" not in str(caught.value)


def test_a_folder_whose_mount_is_not_listed_is_told(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\n")
    assert is_listed(Path("/proc/self"), mounts)
    assert not is_listed(tmp_path, mounts)
    assert is_listed(tmp_path, tmp_path / "missing")
