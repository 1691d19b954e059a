"""The servers' warnings, which the driver logs."""

from __future__ import annotations

import logging
from dataclasses import dataclass

_LOGGER = "cassandra.protocol"
_EXPECTED = ("Unlogged batch covering", ".feedstore_")


@dataclass(frozen=True)
class _ExpectedWarnings(logging.Filter):
    """Filter that drops the warning about unlogged batches over several partitions, for feedstore's own tables only.

    Such a batch goes to a replica of all its partitions. It is ten times as fast as the single writes that the warning
    recommends.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        return not all(text in message for text in _EXPECTED)


def hide_expected_warnings() -> None:
    """Keep expected warnings out of the driver's log. A second call changes nothing."""
    logging.getLogger(_LOGGER).addFilter(_ExpectedWarnings())
