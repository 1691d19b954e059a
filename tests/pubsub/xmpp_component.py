"""A pubsub service with result sets and an archive, as a component of the tests' XMPP server, which has neither."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from slixmpp import ComponentXMPP
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from feedstore.pubsub import RsmRequest
from feedstore.pubsub.memory_node import result_page
from feedstore.pubsub.xmpp_stanzas import DISCO_INFO, MAM, PUBSUB, PUBSUB_EVENT, RSM
from servers.ports import LOOPBACK
from servers.prosody import COMPONENT, OwnProsodyServer

IDS = tuple(f"i{number}" for number in range(1, 8))
"""The ids of the items of every node."""


class PubsubComponent:
    """A component in a thread. It answers with the items of :data:`IDS`, in pages if they are requested.

    While it ``is_overloaded``, it does not list its features.
    """

    def __init__(self, server: OwnProsodyServer) -> None:
        self._server = server
        self.is_overloaded = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(30)

    def stop(self) -> None:
        """Disconnect, and end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        component: Any = ComponentXMPP(COMPONENT, "secret", LOOPBACK, self._server.component_port)  # type: ignore[no-untyped-call]
        component.register_plugin("xep_0030")
        component.add_event_handler("session_start", lambda _: self._ready.set())
        for path, answer in (
            (f"{{{PUBSUB}}}pubsub", self._items),
            (f"{{{DISCO_INFO}}}query", self._features),
            (f"{{{MAM}}}query", self._archive),
        ):
            matcher = MatchXPath(f"{{jabber:component:accept}}iq/{path}")
            component.register_handler(Callback(path, matcher, partial(answer, component)))
        component.connect()
        await self._stop.wait()
        await component.disconnect(wait=0.5)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def _features(self, component: ComponentXMPP, iq: Any) -> None:
        if self.is_overloaded:
            refusal = iq.reply(clear=True).error()
            refusal["error"]["condition"] = "resource-constraint"
            refusal.send()
            return
        query = Element(f"{{{DISCO_INFO}}}query")
        SubElement(query, f"{{{DISCO_INFO}}}feature", var=RSM)
        self._reply(iq, query)

    def _items(self, component: ComponentXMPP, iq: Any) -> None:
        chosen, answered, _ = self._page(iq)
        pubsub = Element(f"{{{PUBSUB}}}pubsub")
        items = SubElement(pubsub, f"{{{PUBSUB}}}items", node="notes")
        for one in chosen:
            items.append(self._item(one, PUBSUB))
        if answered is not None:
            pubsub.append(answered)
        self._reply(iq, pubsub)

    def _archive(self, component: ComponentXMPP, iq: Any) -> None:
        chosen, answered, complete = self._page(iq)
        query_id = iq.xml.find(f"{{{MAM}}}query").get("queryid")
        for one in chosen:
            message = component.make_message(mto=iq["from"], mfrom=COMPONENT)
            result = SubElement(message.xml, f"{{{MAM}}}result", queryid=query_id, id=one)
            forwarded = SubElement(result, "{urn:xmpp:forward:0}forwarded")
            SubElement(forwarded, "{urn:xmpp:delay}delay", stamp="2026-05-01T12:00:00Z")
            event = SubElement(SubElement(forwarded, "{jabber:client}message"), f"{{{PUBSUB_EVENT}}}event")
            SubElement(event, f"{{{PUBSUB_EVENT}}}items", node="notes").append(self._item(one, PUBSUB_EVENT))
            message.send()
        end = Element(f"{{{MAM}}}fin", complete="true" if complete else "false")
        if answered is not None:
            end.append(answered)
        self._reply(iq, end)

    def _page(self, iq: Any) -> tuple[Any, Element | None, bool]:
        requested = iq.xml.find(f".//{{{RSM}}}set")
        if requested is None:
            return IDS, None, True
        values = {one.tag.rpartition("}")[2]: one.text or "" for one in requested}
        numbers = {name: int(values[name]) for name in ("max", "index") if name in values}
        request = RsmRequest(**numbers, after=values.get("after"), before=values.get("before"))
        chosen, place, complete = result_page(IDS, request, 100)
        answered = Element(f"{{{RSM}}}set")
        SubElement(answered, f"{{{RSM}}}count").text = str(place.count)
        if place.first is not None:
            SubElement(answered, f"{{{RSM}}}first", index=str(place.index)).text = place.first
            SubElement(answered, f"{{{RSM}}}last").text = place.last
        return chosen, answered, complete

    @staticmethod
    def _item(item_id: str, space: str) -> Element:
        item = Element(f"{{{space}}}item", id=item_id, publisher="ann@localhost")
        SubElement(item, "{urn:example}note").text = item_id
        return item

    @staticmethod
    def _reply(iq: Any, content: Element) -> None:
        reply = iq.reply(clear=True)
        reply.xml.append(content)
        reply.send()
