"""A page that shows a timeline live, and the server for it. Needs the extra ``sse``."""

from importlib.util import find_spec

from feedstore.errors import MissingDriverError

if find_spec("uvicorn") is None or find_spec("itsdangerous") is None:
    raise MissingDriverError("feedstore.serve needs uvicorn and itsdangerous: pip install 'feedstore[sse]'")

from feedstore.live import LiveTimelines, TimelineEndpoints
from feedstore.serve.page import Markup, asset_route, fill, render_page
from feedstore.serve.server import LiveServer, SecurityHeaders
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
