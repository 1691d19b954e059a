"""Who wants to know how an ingestion gets on."""

from __future__ import annotations

from feedstore.ingest.source import Source
from feedstore.ingest.summary import Summary


class Progress:
    """Hears how far a run is; nothing is shown here.

    Subclass it to show something. ``source.bytes_read`` of ``source.size`` says how far its input is, and ``summary``
    what was done so far in the whole run.
    """

    def start(self, source: Source, summary: Summary) -> None:
        """Hear that an input was opened."""

    def advance(self, source: Source, summary: Summary) -> None:
        """Hear that another chunk was stored."""

    def finish(self, source: Source, summary: Summary) -> None:
        """Hear that an input was closed, at its end or at an error."""
