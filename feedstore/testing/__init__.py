"""The contract as test suites, which are shipped so that third-party backends can run them.

A backend's test class inherits the suite and provides one fixture, ``open_backend``. The fixture is a callable that
opens backends on one shared store, in the given namespace or in a fresh one. The fixture closes the backends::

    import contextlib
    import uuid

    import pytest
    from feedstore import connect
    from feedstore.testing import BackendContract


    class TestMyBackend(BackendContract):
        @pytest.fixture
        def open_backend(self, tmp_path):
            with contextlib.ExitStack() as opened:
                yield lambda namespace=None: opened.enter_context(
                    connect(f"mine://{tmp_path}", namespace=namespace or f"test-{uuid.uuid4().hex}")
                )

To test repositories of channels, listeners and queues, inherit :class:`RepositoryContract` in the same way, and provide
the fixture ``open_channels``.

Each test cites the rule that it checks. The suites branch only on ``backend.abilities``, never on a type. They need
pytest (``pip install feedstore[test]``). :mod:`feedstore.testing.oracle` runs random sequences of operations against a
model; it needs hypothesis too, and is imported by its own name.
"""

from pathlib import Path

import pytest

# Before the suites are imported, so that their assertions explain themselves wherever they are run.
pytest.register_assert_rewrite(*(f"{__name__}.{path.stem}" for path in Path(__file__).parent.glob("*_suite.py")))

from feedstore.testing.contract import (  # noqa: E402
    ActivityContract,
    ArgumentContract,
    BackendContract,
    DocumentContract,
    FeedContract,
    GraphContract,
    KvContract,
    ManagerContract,
    NotifyContract,
    PubsubCacheContract,
    QueueContract,
    RepositoryContract,
    StoreContract,
    TimelineContract,
    WholeDocumentContract,
)
from feedstore.testing.event_argument_suite import EventArgumentSuite  # noqa: E402
from feedstore.testing.event_store_suite import EventStoreSuite, OpenEvents  # noqa: E402
from feedstore.testing.repository_suite import OpenChannels  # noqa: E402
from feedstore.testing.suite import OpenBackend, Suite  # noqa: E402

__all__ = [
    "ActivityContract",
    "ArgumentContract",
    "BackendContract",
    "DocumentContract",
    "EventArgumentSuite",
    "EventStoreSuite",
    "FeedContract",
    "GraphContract",
    "KvContract",
    "ManagerContract",
    "NotifyContract",
    "OpenBackend",
    "OpenChannels",
    "OpenEvents",
    "PubsubCacheContract",
    "QueueContract",
    "RepositoryContract",
    "StoreContract",
    "Suite",
    "TimelineContract",
    "WholeDocumentContract",
]
