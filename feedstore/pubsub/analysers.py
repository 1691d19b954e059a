"""Analysers, which decide which nodes a cache keeps, and which parser reads their items."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from feedstore.errors import (
    FeedstoreError,
    InvalidTypeError,
    InvalidValueError,
    PubsubClosedError,
    PubsubError,
    PubsubTimeoutError,
    PubsubUnavailableError,
)
from feedstore.forks import follow_forks
from feedstore.pubsub.payloads import root_namespace
from feedstore.pubsub.service import PubsubService
from feedstore.pubsub.values import ServiceItem
from feedstore.shown import shown

Parser = Callable[[ServiceItem, str, str], "Mapping[str, Any] | Awaitable[Mapping[str, Any]]"]
"""A function of an item, the address of its service and the name of its node. It returns the parsed item: a dict that
JSON can hold. It may be a coroutine function."""
MatchCallback = Callable[[PubsubService, "NodeAnalysis"], object]
"""A function that may change an analysis. It may be a coroutine function."""

NO_ANSWER = (PubsubUnavailableError, PubsubTimeoutError, PubsubClosedError)
"""The errors of a service that did not answer. They say nothing of the node."""

_logger = logging.getLogger(__name__)


@dataclass
class NodeAnalysis:
    """The analysis of one node, which a ``match_cb`` may change.

    ``namespace`` and ``configuration`` are requested from the service when they are first read. If the service refuses,
    or there is no first item, they are None.

    Attributes:
        account: the account.
        service: the address of the node's service.
        node: the name of the node.
        name: the name of the analyser that matched.
        type: the type of the node, such as ``"blog"``.
        subtype: the subtype of the node, such as ``"comment"``, or None.
        to_sync: whether the cache synchronises the node.
        parser: the parser of the node's items, or None. A parser that a ``match_cb`` chooses applies until the process
            ends; name another analyser instead to choose one for longer.
    """

    account: str
    service: str
    node: str
    source: PubsubService = field(repr=False)
    name: str = ""
    type: str = ""
    subtype: str | None = None
    to_sync: bool = False
    parser: Parser | None = None
    _answers: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def namespace(self) -> str | None:
        """The XML namespace of the first item's payload, or None."""
        if "namespace" not in self._answers:
            self._answers["namespace"] = self._fetched("first item", self._fetch_namespace)
        found: str | None = self._answers["namespace"]
        return found

    @property
    def configuration(self) -> dict[str, Any] | None:
        """The configuration of the node, or None."""
        if "configuration" not in self._answers:
            self._answers["configuration"] = self._fetched(
                "configuration", lambda: self.source.configuration(self.node, service=self.service)
            )
        found: dict[str, Any] | None = self._answers["configuration"]
        return found

    def _fetch_namespace(self) -> str | None:
        items = self.source.get_items(self.node, service=self.service, max_items=1).items
        return root_namespace(items[0].payload) if items else None

    def _fetched(self, noun: str, fetch: Callable[[], Any]) -> Any:
        try:
            return fetch()
        except NO_ANSWER:
            raise
        except PubsubError as error:
            _logger.info("the node %s is analysed without its %s: %s", self.node, noun, error)
            return None


@dataclass(frozen=True)
class Analyser:
    """A rule that recognizes nodes; :meth:`PubsubCache.register_analyser` describes the fields."""

    name: str
    type: str
    node: str | None = None
    namespace: str | None = None
    to_sync: bool = False
    parser: Parser | None = None
    match_cb: MatchCallback | None = None
    priority: int = 0

    def matches(self, analysis: NodeAnalysis) -> bool:
        """Return whether the node has the prefix, or its first item the namespace."""
        if self.node is not None and analysis.node.startswith(self.node):
            return True
        return self.namespace is not None and analysis.namespace == self.namespace


class Analysers:
    """The registered analysers, in the order in which they are tried."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        follow_forks(
            self, lambda one: one._lock.acquire(), lambda one: one._lock.release(), lambda one: one._lock.release()
        )
        # Replaced and never changed, so that readers need no lock.
        self._analysers: tuple[Analyser, ...] = ()

    @property
    def version(self) -> int:
        """The number of analysers, which grows with each registration."""
        return len(self._analysers)

    def register(self, analyser: Analyser) -> Analyser:
        """Add an analyser, and return it with its normalised name.

        Raises:
            InvalidTypeError, InvalidValueError: An argument is not allowed, or the name is taken.
        """
        checked = _checked(analyser)
        with self._lock:
            if any(one.name == checked.name for one in self._analysers):
                raise InvalidValueError(f"there is an analyser {shown(checked.name)} already; choose another name")
            # The sort is stable, so analysers of one priority stay in the order of registration.
            self._analysers = tuple(sorted((*self._analysers, checked), key=lambda one: -one.priority))
        return checked

    def named(self, name: str | None) -> Analyser | None:
        """Return the analyser of a name, or None."""
        return next((one for one in self._analysers if one.name == name), None)

    def analyse(self, service: PubsubService, address: str, node: str) -> NodeAnalysis | None:
        """Return the analysis of a node by the first analyser that matches, or None if none does.

        The analyser's ``match_cb`` may have changed it.

        Raises:
            Exception: The service did not answer, or ``match_cb`` raised an exception.
        """
        analysis = NodeAnalysis(service.account, address, node, service)
        for analyser in self._analysers:
            if analyser.matches(analysis):
                analysis.name, analysis.type = analyser.name, analyser.type
                analysis.to_sync, analysis.parser = analyser.to_sync, analyser.parser
                if analyser.match_cb is not None:
                    completed(analyser.match_cb(service, analysis))
                return analysis
        return None


def _checked(analyser: Analyser) -> Analyser:
    for name in ("name", "type", "node", "namespace"):
        value = getattr(analyser, name)
        if value is not None and not isinstance(value, str):
            raise InvalidTypeError(f"the {name} of an analyser must be a str, not {shown(value)}")
    name = (analyser.name or "").strip().lower()
    if not name:
        raise InvalidValueError(f"the name of an analyser must hold a character, not {shown(analyser.name)}")
    if not analyser.type:
        raise InvalidValueError(f"the analyser {shown(name)} needs a type, such as 'blog'")
    if not analyser.node and not analyser.namespace:
        raise InvalidValueError(f"the analyser {shown(name)} matches no node; pass node= or namespace=")
    for option in ("parser", "match_cb"):
        value = getattr(analyser, option)
        if value is not None and not callable(value):
            raise InvalidTypeError(f"the {option} of an analyser must be a function, not {shown(value)}")
    if not isinstance(analyser.priority, int):
        raise InvalidTypeError(f"the priority of an analyser must be an int, not {shown(analyser.priority)}")
    return Analyser(
        name,
        analyser.type,
        analyser.node or None,
        analyser.namespace or None,
        bool(analyser.to_sync),
        analyser.parser,
        analyser.match_cb,
        analyser.priority,
    )


def completed(result: Any) -> Any:
    """Return a result, or if it is awaitable, the result of running it to its end in an event loop of its own."""
    if not inspect.isawaitable(result):
        return result
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(result)
    # A thread runs one event loop at a time.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_run, result).result()


def _run(awaitable: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await awaitable

    try:
        return asyncio.run(wait())
    except asyncio.CancelledError as error:
        # It is no Exception, so it would end the thread.
        raise FeedstoreError("the coroutine function was cancelled") from error
