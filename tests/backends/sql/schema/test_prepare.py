"""The opening of a backend on each state of a database, in each mode."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, event

from backends.sql.schema import databases
from feedstore import connect
from feedstore.backends.sql.address import parse_address
from feedstore.backends.sql.schema import HEAD, SchemaState, detect_schema, missing_schema_error, prepare_schema
from feedstore.errors import (
    InvalidValueError,
    MissingSchemaError,
    NewerSchemaError,
    OutdatedSchemaError,
    SchemaError,
    UnsupportedError,
)

MODES = (None, "migrate", "check")


def state(engine: Engine) -> SchemaState:
    """The state of the database."""
    with engine.connect() as connection:
        return detect_schema(connection).state


@pytest.mark.parametrize("mode", [None, "migrate"])
def test_an_empty_database_gets_its_tables(engine: Engine, mode: str | None) -> None:
    databases.make_others_table(engine)
    before = databases.contents(engine)
    prepare_schema(engine, mode)
    assert state(engine) is SchemaState.CURRENT
    assert before.items() <= databases.contents(engine).items()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_sqlite_without_full_text_is_refused_by_name(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def hide_modules(connection: sqlite3.Connection, _: object) -> None:
        connection.set_authorizer(
            lambda action, table, *_: (
                sqlite3.SQLITE_IGNORE
                if (action, table) == (sqlite3.SQLITE_READ, "pragma_module_list")
                else sqlite3.SQLITE_OK
            )
        )

    with pytest.raises(UnsupportedError, match="FTS5"):
        prepare_schema(engine)
    assert databases.contents(engine) == {}


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_sqlite_database_in_another_encoding_is_refused_by_name(engine: Engine) -> None:
    """In such a database, get_columns returned other payloads than the stored ones."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA encoding = 'UTF-16le'")
        connection.exec_driver_sql("CREATE TABLE of_another_program (number INTEGER)")
        connection.commit()
    with pytest.raises(UnsupportedError, match="text as UTF-16le"):
        prepare_schema(engine)
    assert state(engine) is SchemaState.EMPTY


def test_an_older_database_is_migrated_and_a_current_one_is_left_alone(engine: Engine) -> None:
    databases.make_older(engine)
    prepare_schema(engine, "migrate")
    assert state(engine) is SchemaState.CURRENT
    before = databases.contents(engine)
    for mode in MODES:
        prepare_schema(engine, mode)
        assert databases.contents(engine) == before, mode


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_an_older_file_is_migrated_by_default(engine: Engine) -> None:
    databases.make_older(engine)
    prepare_schema(engine)
    assert state(engine) is SchemaState.CURRENT


def test_checking_refuses_an_empty_database(engine: Engine) -> None:
    databases.make_others_table(engine)
    assert_refused(engine, "check", MissingSchemaError, "no tables of feedstore.*feedstore db upgrade")


def test_an_older_database_is_refused(engine: Engine, database_kind: str) -> None:
    """A check refuses it. On a server, it waits for its administrator without a mode, too."""
    databases.make_older(engine)
    for mode in ("check",) if database_kind == "sqlite" else ("check", None):
        assert_refused(engine, mode, OutdatedSchemaError, rf"revision 0001.*needs {HEAD}.*feedstore db upgrade")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_checking_makes_no_file(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(MissingSchemaError, match=r"feeds\.db"):
        prepare_schema(engine, "check")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_database_is_refused(engine: Engine) -> None:
    databases.make_newer(engine)
    for mode in MODES:
        assert_refused(engine, mode, NewerSchemaError, rf"revision 9999.*needs {HEAD}.*newer feedstore")


def test_tables_of_something_else_are_refused(engine: Engine) -> None:
    databases.make_foreign(engine)
    for mode in MODES:
        assert_refused(engine, mode, SchemaError, "feedstore_timeline.*another program")


def test_ignoring_runs_no_statement(engine: Engine) -> None:
    """So the state of the database does not matter: this one is refused in the other modes."""
    databases.make_foreign(engine)
    statements = watch(engine)
    prepare_schema(engine, "ignore")
    assert statements == []


def test_an_unknown_mode_is_refused_by_name(engine: Engine) -> None:
    with pytest.raises(InvalidValueError, match=r"'upgrade'.*migrate, check, ignore"):
        prepare_schema(engine, "upgrade")


def test_a_current_schema_costs_one_query(engine: Engine) -> None:
    prepare_schema(engine)
    statements = watch(engine)
    prepare_schema(engine)
    assert statements == ["SELECT version_num FROM feedstore_alembic_version"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_current_schema_does_not_load_alembic(database_url: str, engine: Engine) -> None:
    prepare_schema(engine)
    script = (
        "import sys; from sqlalchemy import create_engine; from feedstore.backends.sql.address import parse_address; "
        "from feedstore.backends.sql.schema import prepare_schema; "
        "engine = create_engine(parse_address(sys.argv[1]).url); prepare_schema(engine); engine.dispose(); "
        "sys.exit(any(name.split('.')[0] == 'alembic' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script, database_url], check=False).returncode == 0


def test_a_message_names_the_database_without_its_password() -> None:
    message = str(missing_schema_error(create_engine(parse_address("postgresql://user:secret@host/app").url)))
    assert "'app'" in message
    assert "secret" not in message


def assert_refused(engine: Engine, mode: str | None, error: type[SchemaError], message: str) -> None:
    """Opening raises exactly that error, and leaves everything as it was."""
    before = databases.contents(engine)
    with pytest.raises(SchemaError, match=message) as caught:
        prepare_schema(engine, mode)
    assert type(caught.value) is error
    assert databases.contents(engine) == before


def watch(engine: Engine) -> list[str]:
    """A list that grows by each statement that the engine runs from now on."""
    statements: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    return statements


def test_opening_a_store_logs_no_line_of_alembic_s(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), connect(f"sqlite:///{tmp_path / 'feeds.db'}") as backend:
        assert backend.timeline_storage().count("feed:bob") == 0
    (record,) = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert record.name == "feedstore.backends.sql"
    assert record.getMessage().startswith("migrated the SQLite database")
