"""A contract's backend on connections that the session's tests share."""

from __future__ import annotations

import pytest

from feedstore.storage import Backend
from stores import OpenBackend


class OnSharedConnections:
    """A base of contracts on a server: their first backend connects once, and not for each test.

    ``open_backend`` gives a test connections of its own. A test of notifiers has them, too: the first subscription of a
    backend connects, and the test covers that.
    """

    @pytest.fixture
    def backend(
        self, request: pytest.FixtureRequest, shared_backend: OpenBackend, open_backend: OpenBackend
    ) -> Backend:
        """A backend under a fresh namespace."""
        return open_backend() if "notifier" in request.fixturenames else shared_backend()
