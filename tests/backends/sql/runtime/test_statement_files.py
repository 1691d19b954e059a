"""The ``.sql`` files: each statement has a comment, is used, and can be pasted after EXPLAIN."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from importlib.resources import files

import psycopg
import pytest

from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.postgresql.statements import load_statements

_PACKAGE = "feedstore.backends.sql.postgresql"
_FILES = ("activities", "deliveries", "messages", "timelines")
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def _bodies(file: str) -> dict[str, str]:
    """Return the parts of a file, each from one name to the next."""
    text = files(f"{_PACKAGE}.statements").joinpath(f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("file", _FILES)
def test_each_statement_has_a_comment_and_is_used(file: str) -> None:
    code = inspect.getsource(import_module(f"{_PACKAGE}.{file}"))
    for name, body in _bodies(file).items():
        assert re.match(r"\n-- [A-Z][^\n]+\n", body), f"{name} in {file}.sql has no comment after its name"
        assert body.rstrip().endswith(";"), name
        assert f'"{name}"' in code, f"{file}.py does not use {name}"


@pytest.mark.parametrize("file", _FILES)
def test_each_statement_is_explained_as_it_stands(file: str, migrated_database: str) -> None:
    with (
        SqlBackend(migrated_database) as backend,
        psycopg.connect(migrated_database, autocommit=True) as connection,
    ):
        backend.ping()
        for name, body in _bodies(file).items():
            if name != "no_compiler":
                pasted = _PARAMETER.sub("NULL", body)
                assert connection.execute(f"EXPLAIN {pasted}".encode()).fetchall(), name


def test_all_files_are_loaded() -> None:
    found = {path.name for path in files(f"{_PACKAGE}.statements").iterdir() if path.name.endswith(".sql")}
    assert found == {f"{file}.sql" for file in _FILES}


def test_parameters_become_binary_placeholders_and_casts_stay() -> None:
    lengthen = load_statements("timelines")["lengthen"]
    assert lengthen.endswith("length + %(more)b::integer WHERE id = ANY(%(timelines)b::bigint[])")
    assert "--" not in lengthen
