"""The pubsub cache on a real XMPP server, whose service has no result sets."""

from __future__ import annotations

from pathlib import Path

import feedstore
from feedstore.pubsub import PubsubCache
from feedstore.pubsub.parsers import AtomParser
from feedstore.pubsub.xmpp_service import XmppPubsubService
from feedstore.storage.documents import SyncState
from polling import poll_until
from pubsub.conftest import Connect


def entry(title: str) -> bytes:
    return f'<entry xmlns="http://www.w3.org/2005/Atom"><title>{title}</title></entry>'.encode()


def test_a_cache_follows_a_node(ann: XmppPubsubService, connect: Connect, node: str, tmp_path: Path) -> None:
    ann.create_node(node, configuration={"pubsub#max_items": 100})
    for number in range(1, 4):
        ann.publish(node, entry(f"Entry {number}"), item_id=f"i{number}")
    with feedstore.connect(f"sqlite:///{tmp_path / 'cache.db'}") as backend:
        service = connect("bob")
        cache = PubsubCache(service, backend)
        cache.register_analyser("notes", "blog", node="notes/", to_sync=True, parser=AtomParser())

        def cached() -> list[str]:
            return [item.id for item in cache.get_items(node, order_by="creation").items]

        found = cache.synchronise(node)
        assert found is not None
        assert found.sync_state is SyncState.COMPLETED
        assert cached() == ["i1", "i2", "i3"]
        payload = service.get_items(node, item_ids=["i1"]).items[0].payload
        assert cache.get_items(node, item_ids=["i1"]).items[0].payload == payload
        ann.publish(node, entry("Coffee at noon"), item_id="i4")
        ann.retract(node, ["i1"])
        poll_until(lambda: cached() == ["i2", "i3", "i4"], 30, "the events")
        cache.close()
