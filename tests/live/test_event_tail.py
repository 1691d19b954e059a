"""Live tails of event stores, as a browser sees them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from feedstore import connect
from feedstore.events import BackendEventStore, Event
from feedstore.live import EventEndpoints, LiveEvents
from feedstore.testing import OpenBackend
from live.http import Stream, ask
from live.site import WHO, SiteServer

ANN = {WHO: "ann"}
Query = dict[str, Any]


class Site:
    """An event store, and the port of a site that streams its events."""

    def __init__(self, store: BackendEventStore, port: int, opened: ExitStack) -> None:
        self.store = store
        self.port = port
        self._opened = opened

    def tail(self, last_event_id: str | None = None, **query: Any) -> Stream:
        """Open a stream, and wait until it is live or refused."""
        headers = ANN if last_event_id is None else {**ANN, "last-event-id": last_event_id}
        path = f"/log/tail?{urlencode(query, doseq=True)}"
        stream = self._opened.enter_context(Stream(self.port, path, headers))
        if stream.status == 200:
            stream.read_until_event("ready")
        return stream

    def ask(self, path: str, **query: Any) -> Any:
        """Send a request of a permitted user, and return its answer."""
        return ask(self.port, f"/log/{path}?{urlencode(query, doseq=True)}", ANN)


NewSite = Callable[..., Site]


@pytest.fixture
def new_site(site_server: SiteServer) -> Iterator[NewSite]:
    """A callable that serves a store; its options are those of LiveEvents."""
    with ExitStack() as opened:

        def new_site(backend: Any = None, **options: Any) -> Site:
            if backend is None:
                backend = opened.enter_context(connect("memory://"))
            store = BackendEventStore(backend)
            live = LiveEvents(store, **options)
            routes = EventEndpoints(live, is_ann).routes("/log")
            opened.enter_context(site_server.serving(live))
            opened.enter_context(site_server.serving_site(Starlette(routes=routes)))
            return Site(store, site_server.port, opened)

        yield new_site


async def is_ann(request: Request) -> bool:
    """Whether the user in the header may see the events."""
    return request.headers.get(WHO) == "ann"


def has_moved(stream: Stream, position: str) -> bool:
    """Whether a stream has received another position."""
    return stream.parser.last_event_id != position


def contents(stream: Stream) -> list[str]:
    """The contents of the events that a stream has received."""
    return [event.value["content"] for event in stream.named("event")]


@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "redis"])
def test_a_saved_event_reaches_the_tails_whose_conditions_it_meets(
    open_backend: OpenBackend, new_site: NewSite
) -> None:
    site = new_site(open_backend())
    site.store.save(Event("0", "app", 0, ["err"], "before"))
    all_of_them, errors, disks = site.tail(), site.tail(tag=["err", "db"]), site.tail(match="disk|föö")
    site.store.save_many(
        [
            Event("1", "app", 1.5, ["err", "db"], "no connection"),
            Event("2", "app", 2, ["err"], "disk full"),
            Event("3", "app", 3, (), "<b>föö</b>\n\nid: 7"),
        ]
    )
    site.store.save(Event("4", "app", -1, ["db", "err"], "late, disk"))
    all_of_them.read_until_event("event", 4)
    assert sorted(contents(all_of_them)) == ["<b>föö</b>\n\nid: 7", "disk full", "late, disk", "no connection"]
    errors.read_until_event("event", 2)
    assert contents(errors) == ["no connection", "late, disk"]
    disks.read_until_event("event", 3)
    assert sorted(contents(disks)) == ["<b>föö</b>\n\nid: 7", "disk full", "late, disk"]
    assert errors.named("event")[0].value == {
        "id": "1",
        "time": "1970-01-01T00:00:01.500000Z",
        "timestamp": 1.5,
        "source": "app",
        "tags": ["err", "db"],
        "content": "no connection",
    }


def test_a_client_that_reconnects_receives_the_events_that_it_missed(new_site: NewSite) -> None:
    site = new_site()
    stream = site.tail(tag="t")
    site.store.save(Event("1", "s", 1, ["t"], "one"))
    stream.read_until_event("event")
    site.store.save_many(Event(f"2{letter}", "s", 2, ["t"], f"two {letter}") for letter in "ab")
    stream.read_until_event("event", 3)
    # The first event of a save does not move the position, because the rest of the save may be missing.
    one, first, last = [event.last_event_id for event in stream.named("event")]
    assert one == first != last
    site.store.save(Event("3", "s", 3, ["t"], "three"))
    assert contents(site.tail(one, tag="t")) == ["two a", "two b", "three"]
    assert contents(site.tail(last, tag="t")) == ["three"]
    # Another filter knows nothing of the position.
    assert [event.name for event in site.tail(last).events] == ["gap", "ready"]


def test_events_that_a_filter_leaves_out_move_the_position(new_site: NewSite) -> None:
    site = new_site(most_missed=5)
    stream = site.tail(tag="rare")
    begin = stream.parser.last_event_id
    for number in range(20):
        site.store.save(Event(str(number), "s", number, ["common"]))
        stream.read_until(partial(has_moved, stream, stream.parser.last_event_id), "the new position")
    site.store.save(Event("21", "s", 21, ["rare"], "now"))
    assert contents(site.tail(stream.parser.last_event_id, tag="rare")) == ["now"]
    assert [event.value for event in site.tail(begin, tag="rare").named("gap")] == [{"reason": "too many"}]


def test_a_clock_far_ahead_hides_no_saves_of_other_processes(
    new_site: NewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = new_site(window=3)
    with monkeypatch.context() as patch:
        now = time.time_ns()
        patch.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
        other = BackendEventStore(site.store.backend)
        for number in range(5):
            other.save(Event(f"ahead {number}", "s", number))
    stream = site.tail()
    site.store.save(Event("1", "s", 1, (), "now"))
    stream.read_until_event("event")
    assert contents(stream) == ["now"]
    site.store.save(Event("2", "s", 2, (), "then"))
    assert contents(site.tail(stream.parser.last_event_id)) == ["then"]


def test_a_page_begins_with_a_search_and_its_position(new_site: NewSite) -> None:
    site = new_site()
    site.store.save_many(Event(str(number), "s", number, ["t"] * (number % 2), f"no {number}") for number in range(60))
    query: Query = {"tag": "t", "match": "no", "from": 3, "to": "1970-01-01T00:00:41Z"}
    first = site.ask("search", **query, limit=15).value
    rest = site.ask("search", **query, cursor=first["next_cursor"]).value
    assert [each["timestamp"] for each in first["items"] + rest["items"]] == [*range(41, 2, -2)]
    assert (rest["next_cursor"], rest["position"]) == (None, None)
    site.store.save(Event("new", "s", 100, ["t"], "no more"))
    stream = site.tail(tag="t", match="no", position=first["position"])
    assert contents(stream) == ["no more"]
    assert [each["id"] for each in site.ask("search", order="asc", limit=2).value["items"]] == ["0", "1"]


def test_a_pattern_is_refused_without_its_driver(new_site: NewSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site = new_site()
    monkeypatch.setitem(sys.modules, "re2", None)
    for path in ("tail", "search"):
        answer = site.ask(path, match="disk")
        assert (answer.status, "google-re2" in answer.body.decode()) == (400, True)
    assert site.ask("search").status == 200


def test_refusals(new_site: NewSite) -> None:
    site = new_site()
    for path in ("/log/tail", "/log/search"):
        assert ask(site.port, path, {WHO: "eve"}).status == 403
    for path, query, reason in (
        ("tail", {"match": "("}, "pattern"),
        ("tail", {"tag": ""}, "flags"),
        ("search", {"match": r"(\w)\1"}, "backreference"),
        ("search", {"from": "soon"}, "ts_start"),
        ("search", {"order": "up"}, "order"),
        ("search", {"cursor": "x"}, "cursor"),
        ("search", {"limit": "101"}, "limit"),
    ):
        answer = site.ask(path, **query)
        assert answer.status == 400
        assert reason in answer.body.decode()
    site.store.close()
    assert site.ask("search").status == 503
