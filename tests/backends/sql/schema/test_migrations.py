"""The revisions, in both directions, with rows in every table."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect

import feedstore
from backends.sql.schema import databases
from feedstore.backends.sql.schema import HEAD, REVISIONS, SchemaState, detect_schema
from feedstore.backends.sql.schema.migration import MIGRATIONS, revision_titles
from feedstore.backends.sql.tables import WORDS_TABLE, metadata
from feedstore.errors import InvalidValueError

DOCUMENTS = (
    "INSERT INTO feedstore_pubsub_node (id, namespace_id, account, service, name) VALUES (1, 7, 'ann', 'svc', 'é')",
    (
        "INSERT INTO feedstore_pubsub_item (id, node_id, item_id, payload, words, created, updated) "
        "VALUES (1, 1, 'i1', 'x', 'word', 0, 0)"
    ),
    "INSERT INTO feedstore_pubsub_sub (node_id, subscriber, state) VALUES (1, 'bob', 'pending')",
)
# The tables that the downgrade to a revision would drop, in the order in which it checks them.
GUARDED = {
    "0004": ("feedstore_pubsub_item", "feedstore_pubsub_sub", "feedstore_pubsub_node"),
    "0002": ("feedstore_message",),
    "base": ("feedstore_item", "feedstore_entry", "feedstore_timeline", "feedstore_activity"),
}
HEADER_AT_0001 = ["id", "namespace_id", "key"]


def test_the_known_revisions_are_those_that_are_shipped() -> None:
    assert tuple(revision_titles()) == REVISIONS


def test_the_revisions_keep_every_row_in_both_directions(engine: Engine) -> None:
    """An upgrade counts the entries of each timeline, and one after a downgrade counts them again."""
    databases.make_older(engine)
    before = databases.contents(engine)
    databases.upgrade(engine)
    upgraded = databases.contents(engine)
    after = dict(upgraded)
    lengths = {1: 2, 2: 0, 3: 1}
    expected = [{**row, "length": lengths[row["id"]], "newest_dropped": None} for row in before["feedstore_timeline"]]
    assert after.pop("feedstore_timeline") == sorted(expected, key=str)
    assert after.pop("feedstore_alembic_version") == [{"version_num": HEAD}]
    assert [after.pop("feedstore_queue"), after.pop("feedstore_message")] == [[], []]
    assert {
        name: rows for name, rows in after.items() if not name.startswith("feedstore_pubsub")
    }.items() <= before.items()
    assert [after[f"feedstore_pubsub_{name}"] for name in ("node", "item", "sub", "path")] == [[], [], [], []]
    databases.downgrade(engine, "0001")
    assert databases.columns(engine, "feedstore_timeline") == HEADER_AT_0001
    assert databases.contents(engine) == before
    databases.upgrade(engine)
    assert databases.contents(engine) == upgraded


def test_the_revisions_of_the_folder_are_those_that_run() -> None:
    folder = sorted(path.stem for path in (MIGRATIONS / "versions").glob("revision_*.py"))
    assert [name.split("_")[1] for name in folder] == list(revision_titles())


def test_a_zip_archive_of_feedstore_makes_the_tables(tmp_path: Path) -> None:
    """An archive has no folder of scripts for Alembic, and neither has a program that PyInstaller made."""
    package = Path(feedstore.__file__).parent
    archive = tmp_path / "feedstore.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in package.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                file.write(path, path.relative_to(package.parent))
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import feedstore\n"
        "assert feedstore.__file__.startswith(sys.argv[1]), feedstore.__file__\n"
        "print(feedstore.connect(f'sqlite:///{sys.argv[2]}').timeline_storage().add('key', 1))"
    )
    command = [sys.executable, "-c", script, str(archive), str(tmp_path / "feeds.db")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_going_down_to_base_leaves_only_the_version_table(engine: Engine) -> None:
    databases.make_others_table(engine)
    before = databases.contents(engine)
    databases.upgrade(engine)
    databases.downgrade(engine, "base")
    assert databases.contents(engine) == {**before, "feedstore_alembic_version": []}


def test_tables_that_hold_data_are_never_dropped(engine: Engine) -> None:
    """Each downgrade names the first table that still has rows, and changes nothing."""
    databases.make_older(engine)
    databases.upgrade(engine)
    tables = databases.contents(engine).keys()
    databases.execute(engine, "INSERT INTO feedstore_message VALUES (1, 1, 0, 0, '1')")
    for statement in DOCUMENTS:
        databases.execute(engine, statement)
    for revision, guarded in GUARDED.items():
        for kept in guarded:
            before = databases.contents(engine)
            with pytest.raises(InvalidValueError, match=f"{kept} holds rows.*flush"):
                databases.downgrade(engine, revision)
            assert databases.contents(engine) == before
            databases.execute(engine, f"DELETE FROM {kept}")
        databases.downgrade(engine, revision)
    assert set(databases.contents(engine)) == {"feedstore_alembic_version"}
    databases.upgrade(engine)
    assert databases.contents(engine).keys() == tables


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_headers_leave_room_for_updates(engine: Engine) -> None:
    """In both directions with rows in the tables, which stay as they are."""
    databases.make_older(engine)
    databases.upgrade(engine, "0003")
    before = databases.contents(engine)
    assert options_of_headers(engine) is None
    databases.upgrade(engine, "0004")
    assert options_of_headers(engine) == ["fillfactor=50"]
    assert databases.contents(engine) == {**before, "feedstore_alembic_version": [{"version_num": "0004"}]}
    databases.downgrade(engine, "0003")
    assert options_of_headers(engine) is None
    assert databases.contents(engine) == before


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_file_stays_as_it_is_where_headers_leave_room(engine: Engine) -> None:
    databases.make_older(engine)
    databases.upgrade(engine, "0003")
    before, texts = databases.contents(engine), creation_texts(engine)
    databases.upgrade(engine, "0004")
    assert creation_texts(engine) == texts
    databases.downgrade(engine, "0003")
    assert (databases.contents(engine), creation_texts(engine)) == (before, texts)


def test_a_migration_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    fail_at(engine, "UPDATE feedstore_timeline")
    with pytest.raises(RuntimeError, match="on purpose"):
        databases.upgrade(engine)
    assert inspect(engine).get_table_names() == []
    with engine.connect() as connection:
        assert detect_schema(connection).state is SchemaState.EMPTY


def test_an_upgrade_that_fails_leaves_the_older_schema_as_it_was(engine: Engine) -> None:
    databases.make_older(engine)
    before = databases.contents(engine)
    fail_at(engine, "UPDATE feedstore_timeline")
    with pytest.raises(RuntimeError, match="on purpose"):
        databases.upgrade(engine)
    assert databases.contents(engine) == before


def test_a_downgrade_that_fails_leaves_the_newer_schema_as_it_was(engine: Engine) -> None:
    databases.make_older(engine)
    databases.upgrade(engine)
    before = databases.contents(engine)
    fail_at(engine, "ALTER TABLE feedstore_timeline DROP COLUMN length")
    with pytest.raises(RuntimeError, match="on purpose"):
        databases.downgrade(engine, "0001")
    assert databases.contents(engine) == before


def test_the_tables_are_those_of_the_metadata(engine: Engine) -> None:
    databases.upgrade(engine)
    inspector = inspect(engine)
    own = [name for name in inspector.get_table_names() if not name.startswith(WORDS_TABLE)]
    assert sorted(own) == sorted([*metadata.tables, "feedstore_alembic_version"])
    for name, table in metadata.tables.items():
        assert databases.columns(engine, name) == list(table.columns.keys())
        assert inspector.get_pk_constraint(name)["constrained_columns"] == list(table.primary_key.columns.keys())


def test_the_id_of_a_timeline_that_is_gone_is_not_given_again(engine: Engine) -> None:
    databases.upgrade(engine)
    first = insert_timeline(engine)
    databases.execute(engine, "DELETE FROM feedstore_timeline")
    assert insert_timeline(engine) > first


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_file_made_by_the_migrations_is_the_one_that_the_metadata_would_make(engine: Engine) -> None:
    databases.upgrade(engine)
    migrated = creation_texts(engine)
    with engine.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert creation_texts(engine) == migrated


def creation_texts(engine: Engine) -> dict[str, list[str]]:
    """The parts of the statements that SQLite keeps for each table, independent of the order of columns."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE name LIKE 'feedstore%'").all()
    return {name: sorted(part.strip() for part in text.replace("\n", "").split(",")) for name, text in rows}


def options_of_headers(engine: Engine) -> Any:
    """The storage parameters of the table of headers, None if there are none."""
    with engine.connect() as connection:
        return connection.exec_driver_sql(
            "SELECT reloptions FROM pg_class WHERE oid = 'feedstore_timeline'::regclass"
        ).scalar_one()


def insert_timeline(engine: Engine) -> int:
    """Add a header and return its id."""
    with engine.begin() as connection:
        timeline = metadata.tables["feedstore_timeline"]
        result: Any = connection.execute(timeline.insert().values(namespace_id=1, key=b"feed"))
        return int(result.inserted_primary_key[0])


def fail_at(engine: Engine, beginning: str) -> None:
    """Make every later statement with that beginning fail before it is run."""

    @event.listens_for(engine, "before_cursor_execute")
    def fail(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith(beginning):
            raise RuntimeError("on purpose")
