"""The XML of pubsub requests, answers and events in XMPP (XEP-0060, XEP-0059, XEP-0413, XEP-0313)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from xml.etree.ElementTree import Element, SubElement
from xml.sax.saxutils import escape, quoteattr

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.interchange.as2 import utc_text
from feedstore.interchange.syndication import carried_by_xml
from feedstore.pubsub.markup import read_xml, utc_time
from feedstore.pubsub.values import (
    ItemOrder,
    ItemsPage,
    ItemsPublished,
    ItemsRetracted,
    NodeConfigured,
    NodeDeleted,
    NodePurged,
    PubsubEvent,
    RsmRequest,
    RsmResponse,
    ServiceItem,
    count_of,
)
from feedstore.shown import shown

PUBSUB = "http://jabber.org/protocol/pubsub"
OWNER = f"{PUBSUB}#owner"
PUBSUB_EVENT = f"{PUBSUB}#event"
RSM = "http://jabber.org/protocol/rsm"
MAM = "urn:xmpp:mam:2"
DISCO_INFO = "http://jabber.org/protocol/disco#info"
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
_DATA = "jabber:x:data"
_FORWARDED = "{urn:xmpp:forward:0}forwarded"
_XML = "http://www.w3.org/XML/1998/namespace"
_ESCAPES = {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
_ORDER = "urn:xmpp:order-by:1"


def items_request(
    node: str,
    max_items: int | None = None,
    item_ids: Iterable[str] = (),
    rsm: RsmRequest | None = None,
    order_by: ItemOrder | None = None,
) -> Element:
    """Return a request for items of a node."""
    pubsub = Element(f"{{{PUBSUB}}}pubsub")
    items = SubElement(pubsub, f"{{{PUBSUB}}}items", node=node)
    if max_items is not None:
        items.set("max_items", str(max_items))
    for one in item_ids:
        SubElement(items, f"{{{PUBSUB}}}item", id=one)
    if order_by is not None:
        SubElement(pubsub, f"{{{_ORDER}}}order", field=order_by)
    if rsm is not None:
        pubsub.append(_rsm_set(rsm))
    return pubsub


def archive_request(node: str, query_id: str, filters: Mapping[str, Any], rsm: RsmRequest | None) -> Element:
    """Return a request for the archive of a node (XEP-0313). ``filters`` are fields, such as ``start`` and ``end``."""
    query = Element(f"{{{MAM}}}query", node=node, queryid=query_id)
    values = {
        name: utc_text(value.astimezone(timezone.utc)) if isinstance(value, datetime) else value
        for name, value in filters.items()
    }
    if values:
        query.append(data_form(values, MAM))
    if rsm is not None:
        query.append(_rsm_set(rsm))
    return query


def node_request(action: str, node: str, *, owner: bool = False, **attributes: str) -> Element:
    """Return a request with one element, such as ``subscribe`` or, of the owner, ``delete``, ``purge``."""
    space = OWNER if owner else PUBSUB
    pubsub = Element(f"{{{space}}}pubsub")
    SubElement(pubsub, f"{{{space}}}{action}", {"node": node, **attributes})
    return pubsub


def publish_request(node: str, item_id: str, payload: bytes) -> Element:
    """Return a request that publishes an item.

    Raises:
        PayloadError: The payload is no XML element, or is refused.
    """
    pubsub = node_request("publish", node)
    SubElement(pubsub[0], f"{{{PUBSUB}}}item", id=item_id).append(read_xml(payload))
    return pubsub


def retract_request(node: str, item_ids: Sequence[str]) -> Element:
    """Return a request that deletes items, and notifies the subscribers."""
    pubsub = node_request("retract", node, notify="true")
    for one in item_ids:
        SubElement(pubsub[0], f"{{{PUBSUB}}}item", id=one)
    return pubsub


def data_form(values: Mapping[str, Any], form_type: str) -> Element:
    """Return a submitted form of values by field (XEP-0004). A list has several values, a bool becomes 1 or 0."""
    form = Element(f"{{{_DATA}}}x", type="submit")
    for name, value in {"FORM_TYPE": form_type, **values}.items():
        field = SubElement(form, f"{{{_DATA}}}field", var=name)
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if not isinstance(one, (str, int)):
                raise InvalidTypeError(
                    f"the field {shown(name)} must be a str, an int, a bool or a list, not {shown(one)}"
                )
            SubElement(field, f"{{{_DATA}}}value").text = str(int(one)) if isinstance(one, bool) else str(one)
    return form


def form_values(element: Element | None) -> dict[str, Any]:
    """Return the values by field of the form inside an element: a str each, or a list of them."""
    form = None if element is None else element.find(f".//{{{_DATA}}}x")
    found: dict[str, Any] = {}
    for field in () if form is None else form.iterfind(f"{{{_DATA}}}field"):
        values = [one.text or "" for one in field.iterfind(f"{{{_DATA}}}value")]
        is_list = field.get("type") in ("list-multi", "jid-multi", "text-multi")
        name = field.get("var")
        if name and name != "FORM_TYPE":
            found[name] = values if is_list or len(values) > 1 else next(iter(values), "")
    return found


def items_of(element: Element, space: str = PUBSUB) -> tuple[ServiceItem, ...]:
    """Return the items inside an ``items`` element, in its order."""
    return tuple(_item_of(one) for one in element.iterfind(f"{{{space}}}item") if one.get("id"))


def page_of_answer(answer: Element, request: RsmRequest | None) -> ItemsPage:
    """Return the page of items of an answer."""
    # Each part has its exact place, because a payload may hold elements of the same names.
    items = answer.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}items")
    place = answer.find(f"{{{PUBSUB}}}pubsub/{{{RSM}}}set")
    return items_page(() if items is None else items_of(items), place, request)


def items_page(
    items: tuple[ServiceItem, ...], answered: Element | None, request: RsmRequest | None, is_complete: bool = False
) -> ItemsPage:
    """Return items with the place that the service states. ``is_complete`` is its statement that no item follows."""
    if answered is None or request is None:
        return ItemsPage(items, complete=is_complete)
    first = answered.find(f"{{{RSM}}}first")
    place = RsmResponse(
        None if first is None else first.text,
        answered.findtext(f"{{{RSM}}}last"),
        None if first is None else count_of(first.get("index")),
        count_of(answered.findtext(f"{{{RSM}}}count")),
    )
    if request.max == 0:
        is_complete = place.count == 0
    elif not items:
        is_complete = True
    elif place.index is not None and request.before is not None:
        is_complete = is_complete or place.index == 0
    elif place.index is not None and place.count is not None:
        is_complete = is_complete or place.index + len(items) >= place.count
    return ItemsPage(items, place, is_complete)


def events_of(service: str, message: Element) -> Iterator[PubsubEvent]:
    """Yield the events of a message."""
    for event in message.iterfind(f"{{{PUBSUB_EVENT}}}event"):
        for part in event:
            name, node = part.tag.rpartition("}")[2], part.get("node")
            if not node:
                continue
            if name == "items":
                published = items_of(part, PUBSUB_EVENT)
                retracted = tuple(
                    str(one.get("id")) for one in part.iterfind(f"{{{PUBSUB_EVENT}}}retract") if one.get("id")
                )
                if published:
                    yield ItemsPublished(service, node, published)
                if retracted:
                    yield ItemsRetracted(service, node, retracted)
            elif name == "purge":
                yield NodePurged(service, node)
            elif name == "delete":
                yield NodeDeleted(service, node)
            elif name == "configuration":
                yield NodeConfigured(service, node, form_values(part))


def archived_items(message: Element, query_id: str) -> Iterator[ServiceItem]:
    """Yield the items of an archive's message that belongs to a query. ``updated`` is the time in the archive."""
    for result in message.iterfind(f"{{{MAM}}}result"):
        if result.get("queryid") != query_id:
            continue
        delay = result.find(f"{_FORWARDED}/{{urn:xmpp:delay}}delay")
        time = None if delay is None else utc_time(delay.get("stamp", ""))
        for items in result.iterfind(f"{_FORWARDED}/{{*}}message/{{{PUBSUB_EVENT}}}event/{{{PUBSUB_EVENT}}}items"):
            for one in items_of(items, PUBSUB_EVENT):
                yield ServiceItem(one.id, one.payload, one.publisher, updated=time)


def serialised(root: Element) -> bytes:
    """Return an element as XML in UTF-8, as :func:`markup_of` writes it."""
    return markup_of(root).encode()


def sendable(root: Element) -> str:
    """Return an element as XML, if XML can carry its names and values.

    Raises:
        InvalidValueError: One holds a control character or a lone surrogate, for which a server ends the connection.
    """
    markup = markup_of(root)
    carried = carried_by_xml(markup)
    if carried != markup:
        refused = next(one for one, other in zip(markup, carried, strict=True) if one != other)
        raise InvalidValueError(f"XML has no form for the character {shown(refused)} of the request; remove it")
    return markup


def markup_of(root: Element) -> str:
    """Return an element as XML, with the namespace of elements as a declaration and not as a prefix.

    The same element always gives the same bytes: attributes are sorted, because servers keep no order of them. Nesting
    costs no levels of Python's stack.
    """
    parts: list[str] = []
    waiting: list[str | tuple[Element, str]] = [(root, "")]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            parts.append(one)
            continue
        element, inherited = one
        space, _, name = element.tag.removeprefix("{").rpartition("}")
        declared = "" if space == inherited else f" xmlns={quoteattr(space)}"
        head = f"<{name}{declared}{''.join(map(_attribute, enumerate(sorted(element.items()))))}"
        tail = "" if element is root else _text(element.tail)
        if not len(element) and not element.text:
            parts.append(f"{head}/>{tail}")
            continue
        parts.append(f"{head}>{_text(element.text)}")
        waiting.append(f"</{name}>{tail}")
        waiting.extend((child, space) for child in reversed(element))
    return "".join(parts)


def _attribute(numbered: tuple[int, tuple[str, str]]) -> str:
    number, (key, value) = numbered
    quoted = quoteattr(value, _ESCAPES)
    space, _, name = key.removeprefix("{").rpartition("}")
    if not space:
        return f" {name}={quoted}"
    if space == _XML:
        return f" xml:{name}={quoted}"
    return f" xmlns:a{number}={quoteattr(space)} a{number}:{name}={quoted}"


def _text(text: str | None) -> str:
    return "" if text is None else escape(text, {"\r": "&#13;"})


def _item_of(element: Element) -> ServiceItem:
    child = next(iter(element), None)
    payload = b"" if child is None else serialised(child)
    return ServiceItem(str(element.get("id")), payload, element.get("publisher"))


def _rsm_set(rsm: RsmRequest) -> Element:
    element = Element(f"{{{RSM}}}set")
    for name in ("max", "after", "before", "index"):
        value = getattr(rsm, name)
        if value is not None:
            SubElement(element, f"{{{RSM}}}{name}").text = str(value)
    return element
