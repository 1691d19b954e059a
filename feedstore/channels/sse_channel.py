"""A channel in the format of server-sent events."""

from __future__ import annotations

from typing import Any

from feedstore.channels.channel import AbstractChannel
from feedstore.channels.connections_factory import ConnectionsFactory
from feedstore.channels.message import MessageContract
from feedstore.storage.bounds import check_position

RETRY_TIMEOUT_MILLISECONDS = 5
"""After how many milliseconds a client that lost its connection comes back, unless a channel says otherwise."""


class SSEChannel(AbstractChannel):
    """A channel whose streams give dictionaries of an event's fields, as servers of server-sent events take them.

    ``retry_timeout_milliseconds`` (5) is after how long a client that lost its connection is to come back; the other
    arguments are those of :class:`AbstractChannel`.

    >>> from feedstore.channels import Message
    >>> SSEChannel(retry_timeout_milliseconds=3000).adapt(Message("greeting", "hello"))
    {'event': 'greeting', 'retry': 3000, 'data': 'hello'}
    """

    def __init__(
        self,
        stream_delay_seconds: float = 0,
        retry_timeout_milliseconds: int = RETRY_TIMEOUT_MILLISECONDS,
        channel_id: str | None = None,
        connections_factory: ConnectionsFactory | None = None,
    ) -> None:
        super().__init__(stream_delay_seconds, channel_id, connections_factory)
        self.retry_timeout_milliseconds = check_position("retry_timeout_milliseconds", retry_timeout_milliseconds)

    def adapt(self, msg: MessageContract) -> dict[str, Any]:
        """Return ``{"event": type, "retry": milliseconds, "data": payload}``."""
        return {"event": msg.type, "retry": self.retry_timeout_milliseconds, "data": msg.payload}
