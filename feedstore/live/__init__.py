"""Live streams of timelines and event stores to browsers, by server-sent events. Needs the extra ``sse``."""

from importlib.util import find_spec

from feedstore.errors import MissingDriverError

if find_spec("starlette") is None or find_spec("sse_starlette") is None:
    raise MissingDriverError("feedstore.live needs Starlette and sse-starlette: pip install 'feedstore[sse]'")

from feedstore.live.endpoints import Authorize, TimelineEndpoints
from feedstore.live.event import Packet
from feedstore.live.event_tail import EventEndpoints, LiveEvents, Permit
from feedstore.live.hub import LiveTimelines, OtherEventLoopError, TooManyClients
from feedstore.live.position import Gap
from feedstore.live.response import TimelineStream
from feedstore.live.saves import EventFilter
from feedstore.live.subscriber import Subscriber

__all__ = [
    "Authorize",
    "EventEndpoints",
    "EventFilter",
    "Gap",
    "LiveEvents",
    "LiveTimelines",
    "OtherEventLoopError",
    "Packet",
    "Permit",
    "Subscriber",
    "TimelineEndpoints",
    "TimelineStream",
    "TooManyClients",
]
