"""The example keeps the contract of repositories."""

import pytest
from broker_repository import Broker, channels_on

from feedstore import connect
from feedstore.testing import OpenChannels, RepositoryContract


class TestBrokerRepository(RepositoryContract):
    @pytest.fixture
    def open_channels(self) -> OpenChannels:
        backend, broker = connect("memory://"), Broker()
        return lambda: channels_on(backend, broker)
