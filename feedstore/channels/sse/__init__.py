"""Timelines live in a browser, by server-sent events. Needs the extra ``sse``."""

from importlib.util import find_spec

from feedstore.errors import MissingDriverError

if find_spec("starlette") is None or find_spec("sse_starlette") is None:
    raise MissingDriverError("feedstore.channels.sse needs Starlette and sse-starlette: pip install 'feedstore[sse]'")

from feedstore.channels.sse.endpoints import Authorize, TimelineEndpoints
from feedstore.channels.sse.event import Packet
from feedstore.channels.sse.live import LiveTimelines, OtherEventLoopError, TooManyClients
from feedstore.channels.sse.response import TimelineStream
from feedstore.channels.sse.resume import Gap
from feedstore.channels.sse.subscriber import Subscriber

__all__ = [
    "Authorize",
    "Gap",
    "LiveTimelines",
    "OtherEventLoopError",
    "Packet",
    "Subscriber",
    "TimelineEndpoints",
    "TimelineStream",
    "TooManyClients",
]
