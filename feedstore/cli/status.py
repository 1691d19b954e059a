"""Exit statuses."""

from __future__ import annotations

from feedstore.errors import FeedstoreError, InputError, InvalidTypeError, InvalidValueError, NotFoundError

DONE = 0
FAILED = 1
WRONG_USAGE = 2
NOT_FOUND = 3
INTERRUPTED = 130
CLOSED_PIPE = 141

TABLE = """\
  0    done
  1    the operation failed: the store, or something in an input
  2    wrong usage: an option, a URL, a key or an id that cannot be
  3    there is no such timeline, activity, event, group or dead letter
  130  interrupted
  141  the reader of the output went away"""


def of_error(error: FeedstoreError) -> int:
    """Return the exit status that an error ends the program with."""
    if isinstance(error, NotFoundError):
        return NOT_FOUND
    if isinstance(error, (InvalidValueError, InvalidTypeError)) and not isinstance(error, InputError):
        return WRONG_USAGE
    return FAILED
