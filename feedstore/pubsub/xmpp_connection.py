"""A connection to an XMPP server that is kept open on a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar
from xml.etree.ElementTree import Element

from slixmpp import JID, ClientXMPP
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from slixmpp.xmlstream.matcher.idsender import MatchIDSender

from feedstore.errors import (
    PubsubItemNotFound,
    PubsubServiceError,
    PubsubTimeoutError,
    PubsubUnavailableError,
    PubsubUnsupportedError,
)
from feedstore.forks import follow_forks
from feedstore.pubsub.xmpp_stanzas import sendable

logger = logging.getLogger(__name__)
_Result = TypeVar("_Result")
OnMessage = Callable[[Element], object]
OnSession = Callable[[bool], object]

_FIRST_DELAY = 0.5
_STOP_SECONDS = 10.0
_OPEN_SECONDS = 60.0
_KEEPALIVE = {"keepalive": True, "interval": 60, "timeout": 30}


class XmppConnection:
    """A connection of one account, which a thread with an event loop of its own keeps open.

    The thread starts with the first request. A lost connection is opened again, after 0.5 seconds at first, then after
    twice as long each time, up to ``longest_delay``. A request waits for the connection, and a request whose
    connection is lost fails. After a fork, the child opens its own connection.

    Args:
        jid: the address of the account, with or without a resource.
        password: its password.
        address: the host and the port of the server, or None to find them by DNS.
        tls: whether the connection must be encrypted, or the TLS context to use.
        timeout: the seconds of a request, with the time until the connection is open.
        longest_delay: the seconds of the longest pause between two attempts.
        on_event: receives each message with pubsub events, on a thread of its own.
        on_archive: receives each message with a result of an archive, on the thread of the connection.
        on_session: receives, in order with the events, whether a new session follows an earlier one.
    """

    def __init__(
        self,
        jid: str,
        password: str,
        *,
        address: tuple[str, int] | None,
        tls: bool | ssl.SSLContext,
        timeout: float,
        longest_delay: float,
        on_event: OnMessage,
        on_archive: OnMessage,
        on_session: OnSession,
    ) -> None:
        self.jid = jid
        self.timeout = timeout
        self._password = password
        self._address = address
        self._tls = tls
        self._longest_delay = longest_delay
        self._on_event = on_event
        self._on_archive = on_archive
        self._on_session = on_session
        self._lock = threading.Lock()
        self._reset()
        follow_forks(
            self, lambda one: one._lock.acquire(), lambda one: one._lock.release(), lambda one: one._after_fork()
        )

    def open(self) -> None:
        """Wait until a session is open.

        Raises:
            PubsubServiceError: The server refuses the password; the condition is ``not-authorized``.
            PubsubUnavailableError: The connection was not opened in time.
        """

        async def nothing(_: ClientXMPP) -> None:
            return

        self._run(nothing)

    def ask(self, kind: str, target: str, request: Element) -> Element:
        """Send a request, wait for its answer, and return the answer.

        Args:
            kind: ``get`` or ``set``.
            target: the address of the service.
            request: the content of the request.

        Raises:
            PubsubServiceError: The service answers with an error.
            PubsubUnavailableError: The connection was not opened in time, or was lost.
            PubsubTimeoutError: The service did not answer in time.
        """

        async def send(client: ClientXMPP) -> Element:
            return await _answer(client, kind, target, request)

        return self._run(send)

    def _run(self, send: Callable[[ClientXMPP], Coroutine[Any, Any, _Result]]) -> _Result:
        loop = self._started_loop()
        coroutine = self._in_session(send, time.monotonic() + self.timeout)
        self._calls.add(coroutine)
        try:
            call = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError as error:
            # Another thread has closed the connection.
            self._calls.discard(coroutine)
            coroutine.close()
            raise self._lost() from error
        try:
            return call.result(self.timeout + _STOP_SECONDS)
        except (concurrent.futures.CancelledError, concurrent.futures.TimeoutError) as error:
            if isinstance(error, PubsubTimeoutError):
                raise
            raise self._lost() from error
        finally:
            self._calls.discard(coroutine)

    def close(self) -> None:
        """End the session and both threads. A call that waits fails."""
        with self._lock:
            loop, threads = self._loop, self._threads
            self._is_closing = True
        if loop is not None:
            self._started.wait()
            with suppress(RuntimeError):
                # A second call finds the loop closed.
                loop.call_soon_threadsafe(self._stopping.set)
        self._incoming.put(None)
        for thread in threads:
            # A listener may close the connection.
            if thread is not threading.current_thread():
                thread.join(_STOP_SECONDS)

    def _reset(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: list[threading.Thread] = []
        self._incoming: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._is_closing = False
        self._error: BaseException | None = None
        self._refusal: PubsubServiceError | None = None
        self._sessions = 0
        # The requests that wait, also those that the loop has not begun.
        self._calls: set[Coroutine[Any, Any, Any]] = set()

    def _after_fork(self) -> None:
        # The parent uses the connection on. Keep its objects, because their deletion would write to the log.
        self._of_parent = self.__dict__.copy()
        self._reset()
        self._lock.release()

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                if self._is_closing:
                    raise self._lost()
                loop = self._loop = asyncio.new_event_loop()
                self._threads = [
                    threading.Thread(target=target, args=arguments, name=f"feedstore-xmpp-{name}", daemon=True)
                    for name, target, arguments in (("loop", self._run_loop, (loop,)), ("events", self._deliver, ()))
                ]
                self._started = threading.Event()
                for thread in self._threads:
                    thread.start()
        self._started.wait()
        return self._loop

    def _run_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._keep_connected())
        finally:
            remaining = asyncio.all_tasks(loop)
            for task in remaining:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*remaining, return_exceptions=True))
            loop.close()

    def _deliver(self) -> None:
        while (call := self._incoming.get()) is not None:
            try:
                call()
            except Exception:
                logger.exception("the events of a message to %s were not delivered", self.jid)

    async def _keep_connected(self) -> None:
        self._stopping = asyncio.Event()
        self._session = asyncio.Event()
        self._client: ClientXMPP | None = None
        self._started.set()
        delay = _FIRST_DELAY
        while not self._stopping.is_set() and self._refusal is None:
            before = self._sessions
            try:
                await self._one_connection()
            except Exception as error:
                logger.exception("the connection of %s failed", self.jid)
                self._error = error
            if self._sessions > before:
                delay = _FIRST_DELAY
            if self._refusal is None:
                await _wait(self._stopping, delay)
            delay = min(delay * 2, self._longest_delay)
        await self._stopping.wait()

    async def _one_connection(self) -> None:
        """Open a connection, and wait until it ends."""
        earlier = asyncio.all_tasks()
        client = self._new_client()
        ended = asyncio.Event()

        def remember(reason: Any) -> None:
            if isinstance(reason, BaseException):
                self._error = reason

        def end(reason: Any) -> None:
            remember(reason)
            ended.set()

        def refuse(_: Any) -> None:
            end(self._refused(client))

        def begin(_: Any) -> None:
            client.send_presence()
            self._client = client
            self._sessions += 1
            is_again = self._sessions > 1
            self._incoming.put(lambda: self._on_session(is_again))
            self._session.set()

        def give_up() -> None:
            if self._client is not client:
                ended.set()

        for name, handler in (
            ("session_start", begin),
            ("disconnected", end),
            # slixmpp tries TLS from the first byte, and then STARTTLS. It announces a pause once all has failed.
            ("connection_failed", remember),
            ("reconnect_delay", end),
            ("ssl_invalid_chain", end),
            ("failed_all_auth", refuse),
        ):
            client.add_event_handler(name, handler)
        client.connect(*(self._address or ()))
        # slixmpp waits for a silent server without end.
        asyncio.get_running_loop().call_later(_OPEN_SECONDS, give_up)
        waits = {asyncio.ensure_future(one.wait()) for one in (self._stopping, ended)}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        await self._end_connection(client, earlier)

    def _refused(self, client: ClientXMPP) -> Exception:
        """Return the reason for which no login succeeded. If it is the password, all requests fail from now on."""
        if self._tls and not _is_encrypted(client):
            # The server, or a party in between, has left encryption out. No password was sent.
            return ConnectionError("the server offers no encryption")
        self._refusal = PubsubServiceError(f"the server refuses the password of {self.jid}", "not-authorized")
        # The requests that wait for a session fail now.
        self._session.set()
        return self._refusal

    async def _end_connection(self, client: ClientXMPP, earlier: set[asyncio.Task[Any]]) -> None:
        """Close a connection, and cancel the tasks that it made after the ``earlier`` ones."""
        if client.transport is not None:
            await client.disconnect(wait=0.5, ignore_send_queue=True)
        client.cancel_connection_attempt()
        # The session may have begun during the disconnection.
        self._client = None
        if self._refusal is None:
            self._session.clear()
        # The client's own tasks would wait forever, and so would the requests that it sent.
        for task in asyncio.all_tasks() - earlier:
            if task.get_coro() not in self._calls:
                task.cancel()

    def _new_client(self) -> ClientXMPP:
        # Without a context, slixmpp checks the certificate with the authorities of the system.
        context = self._tls if isinstance(self._tls, ssl.SSLContext) else None
        client = ClientXMPP(self.jid, self._password, ssl_context=context)
        client.enable_starttls = client.enable_direct_tls = bool(self._tls)
        client.enable_plaintext = client.plugin["feature_mechanisms"].unencrypted_scram = not self._tls
        # By default, slixmpp shows the account's presence and nodes to every account that asks.
        client.auto_authorize, client.auto_subscribe = None, False
        client.register_plugin("xep_0030")
        client.register_plugin("xep_0199", _KEEPALIVE)
        for path, handle in (
            ("{http://jabber.org/protocol/pubsub#event}event", self._receive),
            ("{urn:xmpp:mam:2}result", lambda message: self._on_archive(message.xml)),
        ):
            matcher = MatchXPath(f"{{jabber:client}}message/{path}")
            client.register_handler(Callback(f"feedstore {path}", matcher, handle))
        return client

    def _receive(self, message: Any) -> None:
        xml = message.xml
        if xml.get("type") != "error":
            self._incoming.put(lambda: self._on_event(xml))

    async def _in_session(self, send: Callable[[ClientXMPP], Coroutine[Any, Any, _Result]], ends: float) -> _Result:
        try:
            if not await _wait(self._session, ends - time.monotonic()) or self._client is None:
                raise self._refusal or self._lost()
            return await asyncio.wait_for(asyncio.ensure_future(send(self._client)), max(ends - time.monotonic(), 0))
        except TimeoutError as error:
            raise PubsubTimeoutError(f"the service did not answer within {self.timeout:g} seconds") from error
        except asyncio.CancelledError as error:
            raise self._lost() from error

    def _lost(self) -> PubsubUnavailableError:
        reason = "it was closed" if self._is_closing else str(self._error or "it was lost, or not opened in time")
        return PubsubUnavailableError(f"{self.jid} has no connection to its server: {reason}")


def _is_encrypted(client: ClientXMPP) -> bool:
    return client.transport is not None and client.transport.get_extra_info("ssl_object") is not None


def _service_error(error: Any) -> PubsubServiceError:
    condition, text = str(error["condition"] or "undefined-condition"), str(error["text"] or "")
    message = f"the service answers {condition}{f': {text}' if text else ''}"
    if condition == "item-not-found":
        return PubsubItemNotFound(message)
    if condition in ("feature-not-implemented", "service-unavailable"):
        return PubsubUnsupportedError(message, condition)
    return PubsubServiceError(message, condition)


async def _answer(client: ClientXMPP, kind: str, target: str, request: Element) -> Element:
    """Send a request and return its answer. slixmpp's own serialisation would lose attributes of other namespaces."""
    iq = client.make_iq_get(ito=target) if kind == "get" else client.make_iq_set(ito=target)
    iq.xml.append(request)
    markup = sendable(iq.xml)
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    name = f"feedstore answer {iq['id']}"

    def receive(stanza: Any) -> None:
        # A request to the account's own address may return to this client.
        if stanza["type"] in ("result", "error") and not answer.done():
            answer.set_result(stanza)

    matcher = MatchIDSender({"id": iq["id"], "self": client.boundjid, "peer": JID(target)})
    client.register_handler(Callback(name, matcher, receive))
    try:
        client.send(markup)
        stanza = await answer
    finally:
        client.remove_handler(name)
    if stanza["type"] == "error":
        raise _service_error(stanza["error"])
    xml: Element = stanza.xml
    return xml


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, and return whether it came within a number of seconds.

    It makes no task: those of a connection are cancelled when the connection ends, and a request waits for the next.
    """
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
