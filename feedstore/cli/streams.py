"""The standard streams, which may be closed, not writable, or unable to show a character."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from feedstore.errors import FeedstoreError


def prepare_streams() -> None:
    """Open the null device in place of each standard stream that is closed, and let the others write any character.

    Otherwise the next file that is opened, a database perhaps, would get the descriptor of the closed stream. Standard
    input stays None: an empty input in its place would pass for one that was read.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _null_stream()
    if sys.stderr is None:
        sys.stderr = _null_stream()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            if isinstance(stream.buffer, io.RawIOBase):
                # Unbuffered: argparse and others that write to it would have to expect its errors, and do not.
                stream.reconfigure(write_through=False)


def flush_output() -> None:
    """Write the buffer of standard output.

    Raises ``BrokenPipeError`` if the reader has closed it, and :class:`FeedstoreError` if the write fails, as on a full
    disk.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FeedstoreError(f"standard output cannot be written to: {error.strerror}") from error


def print_error(message: str) -> None:
    """Print a line on standard error. If the write fails, only the exit status shows that the command failed.

    Raises ``BrokenPipeError`` if the reader has closed it.
    """
    try:
        print(message, file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        _abandon(sys.stderr)


def abandon_output() -> None:
    """Redirect failing standard streams to the null device, because Python would print an error at its end."""
    for stream in (sys.stdout, sys.stderr):
        _abandon(stream)


def _abandon(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()


def _null_stream() -> TextIO:
    # The null device stays open to the end of the process, as the replaced stream would.
    return open(os.open(os.devnull, os.O_RDWR), "w", encoding="utf-8", closefd=False)
