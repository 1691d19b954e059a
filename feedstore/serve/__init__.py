"""A page that shows a timeline live, and what serves it. Needs the extra ``sse``."""

from feedstore.channels.sse import LiveTimelines, TimelineEndpoints
from feedstore.serve.headers import SecurityHeaders
from feedstore.serve.markup import Markup, fill
from feedstore.serve.page import asset_route, render_page
from feedstore.serve.server import LiveServer
from feedstore.serve.viewer import new_viewer

__all__ = [
    "LiveServer",
    "LiveTimelines",
    "Markup",
    "SecurityHeaders",
    "TimelineEndpoints",
    "asset_route",
    "fill",
    "new_viewer",
    "render_page",
]
