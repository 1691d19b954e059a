"""The state of a database is recognized before it is changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, create_engine, event

from backends.sql.schema import databases
from feedstore.backends.sql.schema import HEAD, Schema, SchemaState, detect_schema


def make_nothing(engine: Engine) -> None:
    """Leave the database empty."""


def make_and_undo(engine: Engine) -> None:
    """Go up and all the way down again, which leaves the version table."""
    databases.upgrade(engine)
    databases.downgrade(engine, "base")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (make_nothing, Schema(SchemaState.EMPTY)),
        (databases.make_others_table, Schema(SchemaState.EMPTY)),
        (make_and_undo, Schema(SchemaState.EMPTY)),
        (databases.upgrade, Schema(SchemaState.CURRENT, HEAD)),
        (databases.make_older, Schema(SchemaState.OLDER, "0001")),
        (databases.make_newer, Schema(SchemaState.NEWER, "9999")),
        (databases.make_foreign, Schema(SchemaState.FOREIGN)),
    ],
)
def test_each_state_is_detected(engine: Engine, make: Callable[[Engine], None], expected: Schema) -> None:
    make(engine)
    before = databases.contents(engine)
    with engine.connect() as connection:
        assert detect_schema(connection) == expected
    assert databases.contents(engine) == before


def test_tables_without_their_revision_are_foreign(engine: Engine) -> None:
    databases.upgrade(engine)
    databases.execute(engine, "DELETE FROM feedstore_alembic_version")
    with engine.connect() as connection:
        assert detect_schema(connection) == Schema(SchemaState.FOREIGN)


def test_two_revisions_at_once_are_not_this_release_s(engine: Engine) -> None:
    databases.upgrade(engine)
    databases.execute(engine, "INSERT INTO feedstore_alembic_version VALUES ('9999')")
    with engine.connect() as connection:
        found = detect_schema(connection)
    assert found.state is SchemaState.NEWER
    assert sorted(str(found.revision).split(", ")) == [HEAD, "9999"]


@pytest.mark.parametrize("moment", range(6))
def test_a_migration_that_ends_meanwhile_is_not_taken_for_something_else(engine: Engine, moment: int) -> None:
    other = create_engine(engine.url)
    count = 0
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        @event.listens_for(engine, "before_cursor_execute")
        def migrate(*arguments: object) -> None:
            nonlocal count
            if count == moment:
                databases.upgrade(other)
            count += 1

        found = detect_schema(connection)
    other.dispose()
    assert count > moment
    assert found.state in (SchemaState.EMPTY, SchemaState.CURRENT)
