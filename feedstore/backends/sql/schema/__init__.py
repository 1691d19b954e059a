"""The schema of a database: its states, its preparation when a backend opens, and its migrations."""

from feedstore.backends.sql.schema.prepare import MODES, check_mode, prepare_schema
from feedstore.backends.sql.schema.states import (
    HEAD,
    REVISIONS,
    VERSION_TABLE,
    Schema,
    SchemaState,
    detect_schema,
    missing_schema_error,
)

__all__ = [
    "HEAD",
    "MODES",
    "REVISIONS",
    "VERSION_TABLE",
    "Schema",
    "SchemaState",
    "check_mode",
    "detect_schema",
    "missing_schema_error",
    "prepare_schema",
]
