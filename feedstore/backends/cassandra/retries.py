"""When the driver itself sends a request again."""

from __future__ import annotations

from typing import Any

from cassandra import WriteType
from cassandra.policies import RetryPolicy

_MOST_RETRIES = 3


class IdempotentRetries(RetryPolicy):  # type: ignore[misc]
    """Another node is asked, three times at most, whatever went wrong on the way: nothing that feedstore sends changes
    anything twice. None is once the session is shut down: the driver would begin the retry never, and tell nobody.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def on_read_timeout(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Ask the next node."""
        return self._next(retry_num)

    def on_write_timeout(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Ask the next node: the write has its own timestamp, and whether it happened does not matter.

        A batch that could not be logged is not sent again: every other node would choose the dying one, too.
        """
        if named.get("write_type") == WriteType.BATCH_LOG:
            return self.RETHROW, None
        return self._next(retry_num)

    def on_unavailable(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Ask the next node, which may see more of the others."""
        return self._next(retry_num)

    def on_request_error(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Ask the next node."""
        return self._next(retry_num)

    def _next(self, retry_num: int) -> tuple[int, None]:
        is_over = retry_num >= _MOST_RETRIES or self._session.is_shutdown
        return (self.RETHROW if is_over else self.RETRY_NEXT_HOST), None
