"""The driver's own retries of a request."""

from __future__ import annotations

from typing import Any

from cassandra import WriteType
from cassandra.policies import RetryPolicy

_MOST_RETRIES = 3


class IdempotentRetries(RetryPolicy):  # type: ignore[misc]
    """Retry on the next host, at most three times, for any error: every request is idempotent.

    After the session was shut down there is no retry: the driver would drop it, and its caller would wait for ever.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def on_read_timeout(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Retry on the next host."""
        return self._next(retry_num)

    def on_write_timeout(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Retry on the next host. The write has its own timestamp, so applying it twice has no further effect.

        If the write to the batch log failed, there is no retry: every other host would choose the same failing node for
        its log.
        """
        if named.get("write_type") == WriteType.BATCH_LOG:
            return self.RETHROW, None
        return self._next(retry_num)

    def on_unavailable(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Retry on the next host, which may reach more replicas."""
        return self._next(retry_num)

    def on_request_error(self, *arguments: Any, retry_num: int, **named: Any) -> tuple[int, None]:
        """Retry on the next host."""
        return self._next(retry_num)

    def _next(self, retry_num: int) -> tuple[int, None]:
        is_over = retry_num >= _MOST_RETRIES or self._session.is_shutdown
        return (self.RETHROW if is_over else self.RETRY_NEXT_HOST), None
