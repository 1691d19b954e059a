"""The suite's own Cassandra: its keyspaces, its end, and the error if it does not start."""

from __future__ import annotations

from pathlib import Path

import pytest
from cassandra import InvalidRequest

from polling import poll_until
from servers.cassandra import CassandraServer, OwnCassandraServer
from servers.cassandra_classes import archive_options
from servers.cassandra_configuration import Place
from servers.ports import LOOPBACK, free_port
from servers.process import ServerError


def test_each_keyspace_is_empty_and_of_its_own(cassandra_server: CassandraServer, cassandra_keyspace: str) -> None:
    other = cassandra_server.create_keyspace()
    own = cassandra_keyspace.rpartition("/")[2]
    with cassandra_server.session() as session:
        session.execute(f"CREATE TABLE {other}.here (one int PRIMARY KEY)")
        tables = session.execute("SELECT * FROM system_schema.tables WHERE keyspace_name = %s", [own]).all()
        assert tables == []
        cassandra_server.drop_keyspace(other)
        cassandra_server.drop_keyspace(other)
        with pytest.raises(InvalidRequest, match="does not exist"):
            session.execute(f"SELECT * FROM {other}.here")


def test_a_stopped_node_leaves_nothing() -> None:
    """Also a node that is not ready yet."""
    server = OwnCassandraServer(Place(LOOPBACK, free_port(), free_port(), seed=LOOPBACK))
    poll_until((server.folder / "commitlog").exists, 60, "the first file of the node")
    server.stop()
    server.stop()
    assert not server.folder.exists()


def test_a_node_that_does_not_start_shows_its_log() -> None:
    with pytest.raises(ServerError, match=r"ended with status .*\n.*(?s:.*)no_such_setting"):
        OwnCassandraServer(settings={"no_such_setting": 1})


def test_the_first_node_archives_the_classes_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jars = tmp_path / "jars"
    jars.mkdir()
    runs: list[tuple[str, ...]] = []

    def write(options: tuple[str, ...]) -> None:
        runs.append(options)
        Path(options[-1].partition("=")[2]).touch()

    java = new_java(tmp_path / "java", status=0)
    first, second = (archive_options(java, jars, write) for _ in range(2))
    assert first == second
    assert Path(first[-1].partition("=")[2]).exists()
    assert len(runs) == 1
    # As the Java of a wheel, which leaves out the archive of its own classes.
    assert archive_options(new_java(tmp_path / "smaller", status=1), jars, write) == ()
    assert len(runs) == 1
    assert archive_options(new_java(tmp_path / "other", status=0), jars, runs.append) == ()
    assert len(runs) == 2


def new_java(path: Path, status: int) -> Path:
    """Write a program that ends with ``status`` if it must have an archive of its own classes."""
    path.write_text(f"#!/bin/sh\n[ $1 != -Xshare:on ] || exit {status}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_an_address_of_another_form_is_refused() -> None:
    with pytest.raises(ServerError, match="FEEDSTORE_TEST_CASSANDRA is not of the form host:port"):
        CassandraServer.at("host")
