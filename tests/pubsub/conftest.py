"""Fixtures of the tests of web feeds: a web server, and a service that may reach it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feedstore.pubsub.web_feeds import HttpFeedService
from pubsub.web_server import LOCAL, WebServer


@pytest.fixture
def server() -> Iterator[WebServer]:
    """A web server without pages."""
    with WebServer() as server:
        yield server


@pytest.fixture
def service() -> Iterator[HttpFeedService]:
    """A service that keeps no document without a request."""
    with HttpFeedService(options=LOCAL, max_age=0) as service:
        yield service
