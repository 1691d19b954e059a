"""A pubsub server in memory with caches of its accounts, which the suites of pubsub caches use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from feedstore.pubsub.cache import PubsubCache
from feedstore.pubsub.memory_service import MemoryPubsubServer, MemoryPubsubService
from feedstore.pubsub.values import ItemsPage, RsmRequest, ServiceItem
from feedstore.storage import Backend
from feedstore.storage.documents import DocumentNode, NodeKey, SyncState
from feedstore.testing.suite import OpenBackend, Suite
from feedstore.testing.waiting import wait_until

NODE = "blog"
XMLNS = "urn:example:entry"


def entry(text: str) -> bytes:
    """Return the payload of an item."""
    return f"<entry xmlns='{XMLNS}'><title>{text}</title></entry>".encode()


def parse_entry(item: ServiceItem, service: str, node: str) -> dict[str, Any]:
    """Return the parsed form of an item of :func:`entry`."""
    title = item.payload.decode().partition("<title>")[2].partition("</title>")[0]
    return {"title": title, "words": title.split()}


class PubsubSetting:
    """A server in memory, the requests that it received, and caches on the backend of a test.

    Attributes:
        server: the server.
        backend: the backend of the caches.
        requests: the requests (account, method, node) that the server received.
        hook: a function that receives each request before it is served.
    """

    def __init__(self, backend: Backend, opened: ExitStack) -> None:
        self.backend = backend
        self._opened = opened
        self.requests: list[tuple[str, str, str]] = []
        self.hook: Callable[[str, str, str], object] = lambda account, method, node: None
        self.server = MemoryPubsubServer(largest_page=50, on_request=self._note)
        self.owner = self.service("owner")

    def _note(self, account: str, method: str, node: str) -> None:
        self.requests.append((account, method, node))
        self.hook(account, method, node)

    def hold_subscriptions(self) -> tuple[threading.Event, threading.Event]:
        """Let subscriptions wait, and return the events of the first one that came, and of their continuation."""
        reached, resume = threading.Event(), threading.Event()

        def hold(account: str, method: str, node: str) -> None:
            if method == "subscribe":
                reached.set()
                resume.wait(20)

        self.hook = hold
        return reached, resume

    def before_second_page(self, change: Callable[[], object]) -> None:
        """Call a function once, when the synchronisation of a new cache of ann requests its second page."""

        def call(account: str, method: str, node: str) -> None:
            # The request before the first page is that of the namespace.
            if (account, method) == ("ann", "get_items") and self._asked(account, NODE) == 3:
                self.hook = lambda account, method, node: None
                change()

        self.hook = call

    def service(self, account: str) -> MemoryPubsubService:
        """Return the access of an account, which is closed at the end of the test."""
        return self._opened.enter_context(self.server.service(account))

    def cache(
        self,
        account: str = "ann",
        *,
        backend: Backend | None = None,
        service: MemoryPubsubService | None = None,
        analyser: bool = True,
        **options: Any,
    ) -> PubsubCache:
        """Return a cache of an account, which is closed at the end of the test."""
        cache = self._opened.enter_context(
            PubsubCache(service or self.service(account), backend or self.backend, **options)
        )
        if analyser:
            cache.register_analyser("entries", "blog", namespace=XMLNS, to_sync=True, parser=parse_entry)
        return cache

    def publish(self, count: int, node: str = NODE) -> list[str]:
        """Publish the items i1, i2 and so on, and return their ids."""
        return [self.owner.publish(node, entry(f"item {one}"), item_id=f"i{one}") for one in range(1, count + 1)]

    def key(self, account: str = "ann", node: str = NODE) -> NodeKey:
        """Return the key of a node."""
        return NodeKey(account, self.server.address, node)

    def node(self, account: str = "ann", node: str = NODE) -> DocumentNode | None:
        """Return a cached node."""
        return self.backend.document_storage().get_node(self.key(account, node))

    def state(self, account: str = "ann", node: str = NODE) -> SyncState | None:
        """Return the state of a node's synchronisation."""
        found = self.node(account, node)
        return None if found is None else found.sync_state

    def synchronised(self, cache: PubsubCache, node: str = NODE) -> None:
        """Request a node, and wait until it is answered from the cache."""
        wait_until(lambda: self.is_cached(cache, node), f"the synchronisation of {node}")

    def is_cached(self, cache: PubsubCache, node: str = NODE) -> bool:
        """Return whether a request is answered without a request to the server."""
        return self.answer(cache, node)[1]

    def answer(self, cache: PubsubCache, node: str = NODE, **request: Any) -> tuple[ItemsPage, bool]:
        """Return the answer to a request, and whether it came from the cache."""
        before = self._asked(cache.account, node)
        page = cache.get_items(node, **(request or {"rsm": RsmRequest(max=1)}))
        return page, self._asked(cache.account, node) == before

    def _asked(self, account: str, node: str) -> int:
        return self.requests.count((account, "get_items", node))

    def cached(self, cache: PubsubCache, node: str = NODE, **request: Any) -> ItemsPage:
        """Return the answer of the cache as soon as the cache answers."""
        answers: list[ItemsPage] = []

        def is_answered() -> bool:
            page, is_from_cache = self.answer(cache, node, **request)
            answers.append(page)
            return is_from_cache

        wait_until(is_answered, f"an answer of the cache about {node}")
        return answers[-1]


def ids(page: ItemsPage) -> list[str]:
    """Return the ids of a page."""
    return [item.id for item in page.items]


LONG = timedelta(days=1)


class PubsubSuiteBase(Suite):
    """The base of the suites of pubsub caches."""

    @pytest.fixture
    def setting(self, open_backend: OpenBackend) -> Iterator[PubsubSetting]:
        """A server in memory with a backend for caches."""
        with ExitStack() as opened:
            yield PubsubSetting(open_backend(), opened)
