"""Subscriptions to web feeds at hubs (WebSub), as a WSGI application that receives the calls of hubs."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from feedstore.errors import InvalidValueError, PayloadError, PubsubError, PubsubServiceError
from feedstore.forks import follow_forks
from feedstore.pubsub.values import count_of
from feedstore.pubsub.web_feeds import HttpFeedService
from feedstore.pubsub.web_requests import check_url
from feedstore.shown import shown
from feedstore.storage.documents import SubscriptionState

logger = logging.getLogger(__name__)
StartResponse = Callable[[str, list[tuple[str, str]]], object]

_METHODS = frozenset({"sha1", "sha256", "sha384", "sha512"})
_UNSUBSCRIBE_SECONDS = 600
_OK, _ACCEPTED, _NOT_FOUND, _NO_LENGTH, _TOO_LARGE, _WRONG_METHOD = (
    "200 OK",
    "202 Accepted",
    "404 Not Found",
    "411 Length Required",
    "413 Content Too Large",
    "405 Method Not Allowed",
)


@dataclass
class Lease:
    """A subscription at a hub.

    Attributes:
        topic: the address of the feed, as the hub knows it.
        hub: the address of the hub.
        state: pending until the hub has verified the subscription, then subscribed. None if the hub refuses it.
        expires: the time of the end, in seconds of the clock, or None before the verification.
    """

    topic: str
    hub: str
    state: SubscriptionState | None = SubscriptionState.PENDING
    expires: float | None = None


class WebSub:
    """A WSGI application that subscribes to feeds at their hubs and receives new entries.

    Mount it at ``callback``, which hubs must reach. The last part of a callback's path names the feed and is signed
    with ``key``, so every process of the application that has the key accepts the calls of hubs, also after a restart.
    The body of each call must be signed with a secret that only the hub and the application know. The service then
    notifies its listeners.

    Args:
        service: the service of the feeds. The object becomes its :attr:`~HttpFeedService.subscriber`.
        callback: the public address of this application, such as ``https://example.org/websub``.
        key: a secret of 16 bytes or more. It must stay the same as long as subscriptions last.
        lease: the seconds for which subscriptions are requested. A hub may shorten them.
        clock: returns the seconds of the time of day.
    """

    def __init__(
        self,
        service: HttpFeedService,
        callback: str,
        key: bytes,
        *,
        lease: int = 864000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_url(callback)
        if not isinstance(key, bytes) or len(key) < 16:
            raise InvalidValueError(
                "key must have 16 bytes or more; make it with secrets.token_bytes(32), and store it"
            )
        if lease < 60:
            raise InvalidValueError(f"lease must be 60 seconds or more, not {shown(lease)}")
        self._service = service
        self._callback = callback.rstrip("/")
        self._key = key
        self._seconds = lease
        self._clock = clock
        self._lock = threading.Lock()
        follow_forks(
            self, lambda one: one._lock.acquire(), lambda one: one._lock.release(), lambda one: one._lock.release()
        )
        self._leases: dict[str, Lease] = {}
        self._ending: dict[str, float] = {}
        service.subscriber = self

    @property
    def leases(self) -> dict[str, Lease]:
        """The subscriptions that this process requested, by the address of the feed."""
        with self._lock:
            return dict(self._leases)

    def subscribe(self, node: str, topic: str, hub: str) -> SubscriptionState:
        """Request a subscription at a hub, and return its state, which is ``pending`` unless it is verified already."""
        with self._lock:
            self._ending.pop(node, None)
            known = self._leases.get(node)
            # A feed may have moved to another hub.
            if known is not None and (known.topic, known.hub, known.state) == (
                topic,
                hub,
                SubscriptionState.SUBSCRIBED,
            ):
                lease = known
            else:
                lease = self._leases[node] = Lease(topic, hub)
        try:
            self._request(node, topic, hub, "subscribe")
        except PubsubError:
            with self._lock:
                if known is not None:
                    self._leases[node] = known
                elif lease.state is SubscriptionState.PENDING:
                    self._leases.pop(node, None)
            raise
        return lease.state or SubscriptionState.PENDING

    def unsubscribe(self, node: str, topic: str, hub: str) -> None:
        """Request the end of a subscription at a hub, which has ten minutes to verify it."""
        with self._lock:
            self._leases.pop(node, None)
            self._ending[node] = self._clock() + _UNSUBSCRIBE_SECONDS
        self._request(node, topic, hub, "unsubscribe")

    def renew(self, margin: float = 86400.0) -> list[str]:
        """Request the subscriptions again that end within ``margin`` seconds, and return their feeds.

        Call it from time to time, such as once an hour. A hub that fails is logged, and is tried again at the next
        call. Subscriptions that a hub has not verified are requested again too.
        """
        soon = self._clock() + margin
        with self._lock:
            due = [
                (node, lease)
                for node, lease in self._leases.items()
                if lease.state is not None and (lease.expires is None or lease.expires <= soon)
            ]
        renewed = []
        for node, lease in due:
            try:
                self._request(node, lease.topic, lease.hub, "subscribe")
            except PubsubError as error:
                logger.warning("the subscription to %s was not renewed: %s", shown(node), error)
            else:
                renewed.append(node)
        return renewed

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a call of a hub: its verification of a request (GET), or new entries (POST)."""
        token = str(environ.get("PATH_INFO", "")).rpartition("/")[2]
        named = self._named_by(token)
        method = environ.get("REQUEST_METHOD")
        if named is None:
            status, body = _NOT_FOUND, b""
        elif method == "GET":
            status, body = self._verify(*named, parse_qs(str(environ.get("QUERY_STRING", ""))))
        elif method == "POST":
            status, body = self._receive(named[0], token, environ), b""
        else:
            status, body = _WRONG_METHOD, b""
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response(status, [*headers, ("X-Content-Type-Options", "nosniff")])
        return [body]

    def _request(self, node: str, topic: str, hub: str, mode: str) -> None:
        token = self._token(node, topic)
        form = {
            "hub.callback": f"{self._callback}/{token}",
            "hub.mode": mode,
            "hub.topic": topic,
            "hub.secret": self._secret(token),
            "hub.lease_seconds": str(self._seconds),
        }
        response = self._service.client.request(hub, form=form)
        if not 200 <= response.status < 300:
            raise PubsubServiceError(f"the hub {shown(hub)} answers with the status {response.status}", "not-allowed")

    def _verify(self, node: str, topic: str, query: Mapping[str, list[str]]) -> tuple[str, bytes]:
        """Return the answer to a hub that verifies the intent of a subscriber, or denies a subscription."""
        value = {name: values[0] for name, values in query.items()}
        mode, challenge = value.get("hub.mode"), value.get("hub.challenge", "")
        if value.get("hub.topic") != topic:
            return _NOT_FOUND, b""
        with self._lock:
            lease = self._leases.get(node)
            if mode == "denied":
                if lease is not None:
                    lease.state = None
                logger.warning("the hub denies the subscription to %s: %s", shown(node), shown(value.get("hub.reason")))
                return _OK, b""
            if mode == "unsubscribe":
                is_wanted = self._ending.get(node, 0) >= self._clock()
                self._ending.pop(node, None)
                return (_OK, challenge.encode()) if is_wanted else (_NOT_FOUND, b"")
            if mode != "subscribe" or not challenge or self._ending.get(node, 0) >= self._clock():
                return _NOT_FOUND, b""
            if lease is not None:
                seconds = count_of(value.get("hub.lease_seconds"))
                # A hub that names no time keeps the requested one.
                granted = self._seconds if seconds is None else seconds
                lease.state = SubscriptionState.SUBSCRIBED
                lease.expires = self._clock() + granted
        return _OK, challenge.encode()

    def _receive(self, node: str, token: str, environ: Mapping[str, Any]) -> str:
        """Read the entries that a hub sends. As WebSub asks, a call with a false signature is ignored, and accepted."""
        length = _body_length(environ)
        largest = self._service.client.options.largest
        if length is None:
            return _NO_LENGTH
        if length > largest:
            return _TOO_LARGE
        # Without a length, the body ends where the server ends its input.
        body = environ["wsgi.input"].read(largest + 1 if length < 0 else length)
        if len(body) > largest:
            return _TOO_LARGE
        if not self._is_signed(body, token, str(environ.get("HTTP_X_HUB_SIGNATURE", ""))):
            logger.warning("a call for the feed %s has no valid signature and is ignored", shown(node))
            return _ACCEPTED
        try:
            self._service.receive(node, body, str(environ.get("CONTENT_TYPE", "")))
        except PayloadError as error:
            logger.warning("the hub of %s sent a document that cannot be read: %s", shown(node), error)
        return _ACCEPTED

    def _is_signed(self, body: bytes, token: str, signature: str) -> bool:
        method, _, given = signature.partition("=")
        if method not in _METHODS:
            return False
        expected = hmac.new(self._secret(token).encode(), body, getattr(hashlib, method)).hexdigest()
        return hmac.compare_digest(expected.encode(), given.strip().lower().encode())

    def _secret(self, token: str) -> str:
        return self._signature(f"secret:{token}")

    def _token(self, node: str, topic: str) -> str:
        name = urlsafe_b64encode(json.dumps([node, topic]).encode()).decode().rstrip("=")
        return f"{name}.{self._signature(f'callback:{name}')[:32]}"

    def _named_by(self, token: str) -> tuple[str, str] | None:
        """Return the feed and the topic that a callback names, or None if this application did not sign it."""
        name, _, signature = token.partition(".")
        expected = self._signature(f"callback:{name}")[:32]
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return None
        node, topic = json.loads(urlsafe_b64decode(name + "=" * (-len(name) % 4)))
        return node, topic

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _body_length(environ: Mapping[str, Any]) -> int | None:
    """Return the number of bytes of a request's body; -1 if the end of the input ends it, and None if nothing does."""
    text = str(environ.get("CONTENT_LENGTH") or "")
    if text:
        return count_of(text)
    if environ.get("wsgi.input_terminated"):
        return -1
    return None if "HTTP_TRANSFER_ENCODING" in environ else 0
