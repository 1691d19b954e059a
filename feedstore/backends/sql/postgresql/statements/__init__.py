"""PostgreSQL's own statements, in ``.sql`` files whose statements can be pasted into psql after ``EXPLAIN``."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def load_statements(file: str) -> dict[str, str]:
    """Return the statements of a file by their names, as psycopg takes them.

    A line ``-- name: …`` begins a statement. A parameter ``:name`` becomes a binary one; values are passed as a dict.
    """
    text = files(__name__).joinpath(f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {name: _for_psycopg(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _for_psycopg(body: str) -> str:
    lines = (line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("--"))
    return _PARAMETER.sub(r"%(\1)b", "\n".join(lines).rstrip(";"))
