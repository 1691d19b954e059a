"""A copy of a database, made while it is in use."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine

from feedstore.backends.sql.options import LIBPQ_OPTIONS
from feedstore.backends.sql.tables import TABLE_PREFIX
from feedstore.errors import StorageError

_PROGRAM = "pg_dump"
_WHERE = ("user", "dbname", *LIBPQ_OPTIONS)


def back_up(connection: Connection, path: str | None = None) -> str:
    """Copy feedstore's tables of the connection's database to a new file, and return its path.

    Without ``path`` the file's name is made of the database's and the time.

    A SQLite file is copied whole, beside it, through SQLite's online backup; of a PostgreSQL database the tables of
    feedstore go through pg_dump to the current folder, in its custom format, for pg_restore. Both copy one state of
    the database while others go on writing. Only the file's owner may read the copy.

    Raises :class:`StorageError` if the file exists, if pg_dump is missing or if it fails; no incomplete copy remains.
    """
    if connection.dialect.name == "sqlite":
        return _copy_file(connection.engine, path)
    return _dump(connection, path)


def _copy_file(engine: Engine, given: str | None) -> str:
    path = Path(given) if given is not None else _path_beside(Path(str(engine.url.database)))
    # Another connection: SQLite cannot copy from a connection that is about to write.
    with _new_file(path), closing(sqlite3.connect(path)) as target, engine.connect() as reader:
        driver: Any = reader.connection.driver_connection
        driver.backup(target)
    return str(path)


def _dump(connection: Connection, given: str | None) -> str:
    program = shutil.which(_PROGRAM)
    if program is None:
        raise StorageError(f"{_PROGRAM} is not on PATH: install PostgreSQL's client programs, or back up without it")
    name = re.sub(r"[^\w.-]", "_", connection.engine.url.database or "postgresql")
    path = Path(given) if given is not None else _path_beside(Path(name))
    driver: Any = connection.connection.driver_connection
    with _new_file(path) as file:
        _run_dump(program, driver.info, file)
    return str(path)


def _run_dump(program: str, info: Any, file: IO[bytes]) -> None:
    command = [program, "--format=custom", "--no-password", f"--table={TABLE_PREFIX}*", f"--dbname={_conninfo(info)}"]
    # Every user of the machine can read a command line, but not an environment.
    environment = {**os.environ, **({"PGPASSWORD": info.password} if info.password else {})}
    done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, env=environment, text=True, check=False)
    if done.returncode:
        raise StorageError(f"{_PROGRAM} failed with status {done.returncode}: {done.stderr.strip()}")


def _conninfo(info: Any) -> str:
    """Return the address of an open connection in libpq's form, without the password."""
    from psycopg.conninfo import make_conninfo

    # Only these options: the driver's libpq may be newer than pg_dump's and report options that pg_dump refuses.
    return make_conninfo(**{name: value for name, value in info.get_parameters().items() if name in _WHERE})


def _path_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.backup-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}")


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a new file that only its owner may read. If the block raises, the file is removed."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise StorageError(f"{path} exists already; a backup overwrites nothing, so move it away first") from None
    except OSError as error:
        raise StorageError(f"cannot write the backup to {path}: {error.strerror}") from error
    with open(handle, "wb") as file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise
