"""${message}"""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade(operations: Operations) -> None:
    """Say what changes, and what it costs in a large database."""
    ${upgrades if upgrades else "pass"}


def downgrade(operations: Operations) -> None:
    """Say what is lost."""
    ${downgrades if downgrades else "pass"}
