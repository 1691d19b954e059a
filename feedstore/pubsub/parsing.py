"""The parsing of items by an application's parsers, which may fail, return anything, and take long."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feedstore.pubsub.analysers import Parser, completed
from feedstore.pubsub.payloads import MOST_TEXT, payload_text
from feedstore.pubsub.values import ServiceItem
from feedstore.shown import shown

_MOST_ABANDONED = 3
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ParsedItem:
    """The result of parsing one item.

    Attributes:
        parsed: the parsed item, or None.
        text: the text to search, without markup.
        reason: the reason for which ``parsed`` is None although there is a parser, or None.
    """

    parsed: Mapping[str, Any] | None = None
    text: str = ""
    reason: str | None = None


class ParserRunner:
    """Runs parsers, and lets no fault of them reach the cache.

    A parser runs on a thread of its own for each call of :meth:`parse`. If it takes longer than ``seconds`` for one
    item, the thread is abandoned, and another one parses the following items. While three abandoned threads still run,
    no item is parsed.

    Args:
        seconds: the longest time for one item.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._abandoned: list[tuple[int, threading.Thread]] = []

    def parse(self, parser: Parser | None, items: Sequence[ServiceItem], service: str, node: str) -> list[ParsedItem]:
        """Return the parsed items in their order. It raises nothing."""
        if parser is None:
            return [ParsedItem(None, self._text(payload_text, item)) for item in items]
        results: list[ParsedItem] = []
        while len(results) < len(items):
            rest = items[len(results) :]
            if self._is_stuck():
                reason = f"the parser still parses {_MOST_ABANDONED} earlier items"
                return results + [ParsedItem(None, self._text(payload_text, item), reason) for item in rest]
            run = _Run(lambda item: self._parse_one(parser, item, service, node), rest)
            if run.wait(self._seconds):
                return results + run.results
            self._abandoned.append((os.getpid(), run.thread))
            results += run.results
            late = items[len(results)]
            reason = f"the parser took longer than {self._seconds:g} seconds"
            _logger.warning("the item %s of the node %s is kept unparsed: %s", shown(late.id), shown(node), reason)
            results.append(ParsedItem(None, self._text(payload_text, late), reason))
        return results

    def _is_stuck(self) -> bool:
        self._abandoned = [one for one in self._abandoned if one[0] == os.getpid() and one[1].is_alive()]
        return len(self._abandoned) >= _MOST_ABANDONED

    def _parse_one(self, parser: Parser, item: ServiceItem, service: str, node: str) -> ParsedItem:
        reason = None
        try:
            parsed = completed(parser(item, service, node))
            if not isinstance(parsed, Mapping):
                raise TypeError(f"a parser must return a dict, not {shown(parsed)}")
        except Exception as error:  # noqa: BLE001 a parser of the application may fail in any way
            parsed = None
            reason = f"{type(error).__name__}: {shown(str(error))}"
            _logger.warning("the item %s of the node %s is kept unparsed: %s", shown(item.id), shown(node), reason)
        own_text = getattr(parser, "text", None)
        text = self._text(own_text if callable(own_text) else payload_text, item)
        return ParsedItem(parsed, text, reason)

    def _text(self, extract: Callable[[ServiceItem], Any], item: ServiceItem) -> str:
        """Return the text of an item, cut, in characters that every store can hold; empty if it cannot be extracted."""
        try:
            text = str(extract(item))[:MOST_TEXT]
        except Exception as error:  # noqa: BLE001 the method belongs to a parser of the application
            _logger.info("the item %s is not searched by its text: %s", shown(item.id), error)
            return ""
        return text.replace("\0", " ").encode("utf-8", "replace").decode()


class _Run:
    """The parsing of some items on one thread, which is abandoned if one item takes too long."""

    def __init__(self, parse_one: Callable[[ServiceItem], ParsedItem], items: Sequence[ServiceItem]) -> None:
        self._parse_one = parse_one
        self._items = items
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._ended = threading.Event()
        self._began = time.monotonic()
        self.results: list[ParsedItem] = []
        self.thread = threading.Thread(target=self._work, name="feedstore-pubsub-parser", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        for item in self._items:
            result = self._parse_one(item)
            with self._lock:
                if self._is_abandoned:
                    return
                self.results.append(result)
                # With the result, so that no item is late that has not begun.
                self._began = time.monotonic()
                if len(self.results) == len(self._items):
                    self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Return True once all items are parsed, or False as soon as one has taken longer than ``seconds``."""
        while not self._ended.wait(max(0.0, self._began + seconds - time.monotonic())):
            with self._lock:
                if time.monotonic() - self._began >= seconds and not self._ended.is_set():
                    self._is_abandoned = True
                    return False
        return True
