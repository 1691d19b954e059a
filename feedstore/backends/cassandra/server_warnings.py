"""The servers' warnings, which the driver logs with every answer that carries one."""

from __future__ import annotations

import logging
from dataclasses import dataclass

_LOGGER = "cassandra.protocol"
_EXPECTED = ("Unlogged batch covering", ".feedstore_")


@dataclass(frozen=True)
class _ExpectedWarnings(logging.Filter):
    """Leaves out the warning that an unlogged batch reaches several partitions, for feedstore's own tables alone.

    Such batches go to a replica of all their partitions, and are ten times as fast as what the warning advises.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        return not all(text in message for text in _EXPECTED)


def hide_expected_warnings() -> None:
    """Keep what feedstore does on purpose out of the driver's log. A second call changes nothing."""
    logging.getLogger(_LOGGER).addFilter(_ExpectedWarnings())
