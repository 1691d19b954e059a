"""The example of "Writing repositories" keeps the contract of repositories, and its deliveries arrive."""

from __future__ import annotations

from broker_repository import Broker, Mailbox, channels_on
from test_broker_repository import TestBrokerRepository

from feedstore import connect
from feedstore.channels import Message

__all__ = ["TestBrokerRepository"]


def test_a_loaded_mailbox_sends_through_the_client_of_its_process() -> None:
    with connect("memory://") as backend:
        first, second = Broker(), Broker()
        channel = channels_on(backend, first).create({"channel_id": "news"})
        channel.register_listener(Mailbox("ann@example.org", first, "ann"))
        channels_on(backend, first).persist(channel)
        loaded = channels_on(backend, second).load_one("news")
        listener = loaded.get_listener("ann")
        listener.start()
        loaded.broadcast(Message("mail", "hello"))
        loaded.deliver_next("ann")
        assert second.take("outgoing") == ("ann@example.org", "hello")
        assert first.take("listener:ann") is None
