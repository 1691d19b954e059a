"""Databases in every state of the schema, and their rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, MetaData, inspect, text

from feedstore.backends.sql.schema import VERSION_TABLE
from feedstore.backends.sql.schema.migration import migration_transaction, run_downgrade, run_upgrade

OTHER_TABLE = "other_application"
_ROWS_AT_0001 = (
    "INSERT INTO feedstore_namespace (id, name, format) VALUES (7, 'app', 1)",
    "INSERT INTO feedstore_activity (namespace_id, activity_id, data) VALUES (7, :first, :data), (7, :second, :data)",
    "INSERT INTO feedstore_timeline (id, namespace_id, key) VALUES (1, 7, :full), (2, 7, :empty), (3, 7, :one)",
    "INSERT INTO feedstore_entry (timeline_id, activity_id, data) VALUES (1, :first, NULL), (1, :second, :data)",
    "INSERT INTO feedstore_entry (timeline_id, activity_id, data) VALUES (3, :second, NULL)",
    "INSERT INTO feedstore_item (namespace_id, name, key, value) VALUES (7, :name, :full, :data)",
)
_VALUES = {
    "first": bytes(15) + b"\1",
    "second": b"\xff" * 16,
    "data": b"\0\1data",
    "full": "feed:Zoë\0'\"%_".encode(),
    "empty": b"feed:empty",
    "one": b"x" * 1024,
    "name": b"default",
}


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate up from any state."""
    with migration_transaction(engine) as connection:
        run_upgrade(connection, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate down from any state."""
    with migration_transaction(engine) as connection:
        run_downgrade(connection, revision)


def make_older(engine: Engine) -> None:
    """Make a schema of revision 0001, with rows in every table."""
    upgrade(engine, "0001")
    with engine.begin() as connection:
        for statement in _ROWS_AT_0001:
            named = {name: value for name, value in _VALUES.items() if f":{name}" in statement}
            connection.execute(text(statement), named)


def make_newer(engine: Engine) -> None:
    """Make a schema of a revision that this release does not know."""
    upgrade(engine)
    execute(engine, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")


def make_foreign(engine: Engine) -> None:
    """Make a table with one of feedstore's names, as another application might."""
    execute(engine, "CREATE TABLE feedstore_timeline (number integer)")


def make_others_table(engine: Engine) -> None:
    """Make the tables of another application, which runs migrations of its own."""
    execute(engine, f"CREATE TABLE {OTHER_TABLE} (number integer)")
    execute(engine, f"INSERT INTO {OTHER_TABLE} VALUES (42)")
    execute(engine, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    execute(engine, "INSERT INTO alembic_version VALUES ('0001')")


def execute(engine: Engine, statement: str) -> None:
    """Run one statement and commit it."""
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def contents(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Every table of the database with all its rows."""
    found = MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        return {
            name: sorted((dict(row) for row in connection.execute(table.select()).mappings()), key=str)
            for name, table in found.tables.items()
            if not name.startswith("sqlite_")
        }


def columns(engine: Engine, table: str) -> list[str]:
    """The names of a table's columns, in order."""
    return [column["name"] for column in inspect(engine).get_columns(table)]
