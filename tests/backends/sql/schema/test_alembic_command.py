"""Alembic's own command on the folder that is shipped."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import pytest
from alembic.config import CommandLine, Config
from sqlalchemy import Engine

from backends.sql.schema import databases
from feedstore.backends.sql.schema import HEAD
from feedstore.backends.sql.schema.migration import MIGRATIONS
from feedstore.testing.processes import run_in_child


def alembic(
    url: str | None, *arguments: str, folder: Path = MIGRATIONS, status: int = 0, variable: str | None = None
) -> str:
    """Run the command in a forked process, check its exit status, and return its output.

    A process that imports SQLAlchemy and Alembic for itself would take most of a second of CPU time.
    """
    given = [] if url is None else ["-x", f"url={url}"]
    run = partial(_run, str(folder / "alembic.ini"), [*given, *arguments], variable)
    found, output = run_in_child(run)
    assert found == status, output
    return str(output)


def check_after(url: str, engine: Engine, *changes: str) -> str:
    """Return the differences that the command finds in a migrated database after statements have changed it."""
    databases.upgrade(engine)
    for change in changes:
        databases.execute(engine, change)
    return alembic(url, "check", status=255)


def _run(configuration: str, arguments: Sequence[str], variable: str | None) -> tuple[int, str]:
    """Return the exit status and the output of Alembic's command; for a child process."""
    os.environ.pop("FEEDSTORE_URL", None)
    if variable is not None:
        os.environ["FEEDSTORE_URL"] = variable
    with tempfile.TemporaryFile("w+") as output, redirect_stdout(output), redirect_stderr(output):
        try:
            line = CommandLine()
            options = line.parser.parse_args(arguments)
            # By default it writes to the standard output of the process that imported it.
            line.run_cmd(Config(configuration, stdout=output, ini_section=options.name, cmd_opts=options), options)
            status = 0
        except SystemExit as leaving:
            # As the operating system has it: 255 for -1.
            status = int(leaving.code or 0) % 256
        logging.shutdown()
        output.flush()
        output.seek(0)
        return status, output.read()


def test_the_command_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'feeds.db'}"
    command = [sys.executable, "-m", "alembic", "-c", str(MIGRATIONS / "alembic.ini"), "-x", f"url={url}"]
    for arguments, found in ((["upgrade", "head"], f"Running upgrade 0004 -> {HEAD}"), (["current"], f"{HEAD} (head)")):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        assert found in done.stdout + done.stderr


def test_up_and_down_with_rows(database_url: str, engine: Engine) -> None:
    databases.make_older(engine)
    before = databases.contents(engine)
    assert f"Running upgrade 0004 -> {HEAD}" in alembic(database_url, "upgrade", "head")
    assert f"{HEAD} (head)" in alembic(database_url, "current")
    alembic(database_url, "downgrade", "-4")
    assert databases.contents(engine) == before
    assert "feedstore_item holds rows" in alembic(database_url, "downgrade", "base", status=255)
    assert databases.contents(engine) == before


def test_it_agrees_with_the_backend(database_url: str, engine: Engine) -> None:
    alembic(database_url, "upgrade", "head")
    made = databases.contents(engine)
    alembic(database_url, "downgrade", "base")
    databases.upgrade(engine)
    assert databases.contents(engine) == made


def test_autogenerate_finds_no_difference_beside_another_application(database_url: str, engine: Engine) -> None:
    databases.make_others_table(engine)
    databases.execute(engine, "CREATE INDEX other_index ON other_application (number)")
    databases.upgrade(engine)
    assert "No new upgrade operations detected" in alembic(database_url, "check")


def test_autogenerate_finds_what_differs(database_url: str, engine: Engine) -> None:
    printed = check_after(
        database_url,
        engine,
        "ALTER TABLE feedstore_item ADD COLUMN extra integer",
        "ALTER TABLE feedstore_entry DROP COLUMN data",
        "CREATE TABLE feedstore_extra (number integer)",
        "CREATE INDEX extra ON feedstore_item (value)",
    )
    for found in ("remove_column", "add_column", "remove_table", "remove_index"):
        assert found in printed


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_types_and_defaults_are_compared(database_url: str, engine: Engine) -> None:
    printed = check_after(
        database_url,
        engine,
        "ALTER TABLE feedstore_timeline ALTER COLUMN length SET DEFAULT 1",
        "ALTER TABLE feedstore_timeline ALTER COLUMN id DROP IDENTITY",
        "ALTER TABLE feedstore_entry ALTER COLUMN timeline_id TYPE integer",
        "ALTER TABLE feedstore_entry ALTER COLUMN data SET NOT NULL",
    )
    found = re.findall(r"\('(modify_\w+)', None, '(\w+)', '(\w+)'", printed)
    assert set(found) == {
        ("modify_default", "feedstore_timeline", "id"),
        ("modify_default", "feedstore_timeline", "length"),
        ("modify_nullable", "feedstore_entry", "data"),
        ("modify_type", "feedstore_entry", "timeline_id"),
    }


def test_the_history_lists_every_revision() -> None:
    printed = alembic(None, "history")
    assert re.findall(r"-> (\w+)", printed) == [HEAD, "0004", "0003", "0002", "0001"]


def test_the_environment_may_name_the_database(database_url: str, engine: Engine) -> None:
    alembic(None, "upgrade", "head", variable=database_url)
    assert "feedstore_item" in databases.contents(engine)


def test_the_statements_can_be_printed(database_url: str, engine: Engine) -> None:
    printed = alembic(database_url, "upgrade", "head", "--sql")
    assert "BEGIN;" in printed
    assert "CREATE TABLE feedstore_item" in printed
    assert "COMMIT;" in printed
    assert databases.contents(engine) == {}


def test_without_a_database_one_line_says_how_to_name_it() -> None:
    assert "FAILED: name the database: alembic -x url=sqlite:///feeds.db" in alembic(None, "current", status=255)


def test_a_wrong_url_is_not_repeated() -> None:
    printed = alembic("mysql://user:secret@host/app", "current", status=255)
    assert "FAILED: the URL has no scheme of the SQL backend" in printed
    assert "secret" not in printed


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_new_revision_can_be_generated_and_run(database_url: str, engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    databases.upgrade(engine)
    databases.execute(engine, "CREATE TABLE feedstore_extra (number integer)")
    alembic(database_url, "revision", "--autogenerate", "--rev-id", "0006", "-m", "Drop the extra", folder=folder)
    written = (folder / "versions" / "revision_0006_drop_the_extra.py").read_text()
    assert '"""Drop the extra"""' in written
    assert "operations.drop_table('feedstore_extra')" in written
    alembic(database_url, "upgrade", "head", folder=folder)
    assert "feedstore_extra" not in databases.contents(engine)
    alembic(database_url, "downgrade", HEAD, folder=folder)
    assert "feedstore_extra" in databases.contents(engine)
