"""The stream of a feed."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from feedstore import Activity
from feedstore.errors import InvalidValueError, StorageUnavailableError
from feedstore.feeds import AggregatedFeed, Feed
from feedstore.ids import id_to_text
from feedstore.serve import groups, new_viewer
from live.conftest import NewScene
from live.http import Stream, ask
from live.site import SiteServer


class LiveFeed(Feed):
    """A feed that publishes its writes."""

    key_format = "home:{user_id}"
    publishes = True


class OtherFeed(LiveFeed):
    """A feed in a collection that live timelines do not read."""

    timeline_name = "other"


def test_a_feed_streams_its_changes(new_scene: NewScene, site_server: SiteServer) -> None:
    scene = new_scene()
    feed, like = LiveFeed("bob", scene.backend), Activity("ann", "like", "photo:7")

    async def events(request: Request) -> Response:
        return feed.stream(scene.live, request.headers.get("last-event-id"))

    with (
        site_server.serving_site(Starlette(routes=[Route("/home", events)])) as port,
        Stream(port, "/home", {}) as stream,
    ):
        stream.read_until_event("ready")
        feed.insert_activity(like)
        feed.add(like)
        (added,) = stream.read_until_event("activity")
        assert added.value["id"] == id_to_text(like.id)
        feed.remove(like)
        (removed,) = stream.read_until_event("removed")
        assert removed.value == {"id": id_to_text(like.id)}


def test_a_feed_in_another_collection_cannot_be_streamed(new_scene: NewScene) -> None:
    scene = new_scene()
    with pytest.raises(InvalidValueError, match="collections 'other' and 'default'"):
        OtherFeed("bob", scene.backend).stream(scene.live)


def test_the_viewer_answers_for_a_store_without_groups(
    new_scene: NewScene, site_server: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = new_scene().backend
    like = Activity("ann", "like", "photo:7")
    backend.activity_storage().add(like)
    backend.timeline_storage().add("feed:bob", like)
    AggregatedFeed("bob", backend).add(like)

    def unavailable(*_: object) -> None:
        raise StorageUnavailableError("it is away")

    with site_server.serving_site(new_viewer(backend, "token", "")) as port:
        cookie = {"cookie": ask(port, "/?token=token").headers["set-cookie"].partition(";")[0]}
        answer = ask(port, "/groups?key=aggregated:bob", cookie)
        assert (answer.status, answer.value["groups"][0]["sentence"]) == (200, "ann like photo:7")
        for key, status in (("feed:bob", 204), ("feed:eve", 204), ("", 400)):
            assert ask(port, f"/groups?key={key}", cookie).status == status
        backend.timeline_storage().add("aggregated:bob", 255)
        answer = ask(port, "/groups?key=aggregated:bob", cookie)
        assert (answer.status, answer.value["detail"].partition(" 0000")[0]) == (503, "the stored bytes of activity")
        monkeypatch.setattr(groups, "feed_at", unavailable)
        answer = ask(port, "/groups?key=aggregated:bob", cookie)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
