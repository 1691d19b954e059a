"""The social application over HTTP: the main path on two stores, and its refusals in memory."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from urllib.parse import quote, urlencode

import pytest
from feedapp.application import new_application
from feedapp.forms import LONGEST_NAME, LONGEST_TEXT
from feedapp.network import Network

from feedstore import Activity, connect
from feedstore.fanout import FeedManager
from feedstore.ids import id_to_text
from feedstore.storage import Backend
from live.site import SiteServer
from live.visitor import Visitor

HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
def port(site_server: SiteServer) -> Iterator[int]:
    """The port of the application in memory."""
    with connect("memory://") as backend, site_server.serving_site(new_application(Network(backend), "secret")) as port:
        yield port


@pytest.mark.parametrize("backend_kind", ["sqlite", "redis"], indirect=True)
def test_users_post_react_follow_block_and_delete(site_server: SiteServer, backend: Backend) -> None:
    with site_server.serving_site(new_application(Network(backend), "secret")) as port:
        ann, bob = Visitor(port, "ann"), Visitor(port, "bob")
        ann.do("post", text="A photo of the lake")
        bob.do("follow", name="ann")
        post = bob.first_id()
        assert bob.lines() == ["ann posted | A photo of the lake"]
        for _ in range(2):
            bob.do("like", id=post)
        bob.do("comment", id=post, text=HOSTILE)
        assert bob.lines(f"/entry?id={post}") == [
            "ann posted | A photo of the lake",
            f"bob commented on ann's post | {HOSTILE}",
        ]
        assert ann.unseen() == 3
        assert ann.lines("/notifications") == [
            "Unread: bob commented on your post | A photo of the lake",
            "Unread: bob liked your post | A photo of the lake",
            "Unread: bob followed you",
        ]
        assert ann.unseen() == 0
        ann.do("read", id=bob.first_id("/profile?name=bob"))
        assert ann.lines("/notifications")[0] == "bob commented on your post | A photo of the lake"
        bob.do("unlike", id=post)
        assert [line.partition(" on")[0] for line in ann.lines("/notifications")] == [
            "bob commented",
            "bob followed you",
        ]
        ann.do("block", name="bob")
        assert (bob.lines(), ann.lines("/notifications")) == ([], [])
        assert bob.get("/profile?name=ann").status == bob.get(f"/entry?id={post}").status == 404
        assert bob.act("like", id=post).status == 404
        assert bob.act("follow", name="ann").status == 403
        ann.do("unblock", name="bob")
        bob.do("follow", name="ann")
        bob.do("like", id=post)
        assert bob.act("delete", id=post).status == 403
        ann.do("delete", id=post)
        assert (ann.lines(), bob.lines()) == ([], [])
        assert ann.lines("/notifications") == ["Unread: bob followed you"]
        assert bob.lines("/profile?name=bob") == ["bob followed ann"]
        bob.do("unfollow", name="ann")
        assert bob.lines("/profile?name=bob") == ann.lines("/notifications") == []


def test_an_ingested_post_is_deleted_without_the_activities_of_others() -> None:
    with connect("memory://") as backend:
        network = Network(backend)
        for name in ("ann", "bob"):
            post = Activity(name, "post", "photo:7")
            # An ingestion publishes by the default manager, which keeps no threads.
            FeedManager(backend).add_user_activity(name, post)
        bobs = id_to_text(post.serialization_id)
        network.like("ann", bobs)
        network.comment("ann", bobs, "Where is it?")
        network.delete("bob", bobs)
        verbs = [[one.activity.verb for one in network.profile("eve", name).entries] for name in ("ann", "bob")]
        assert verbs == [["comment", "like", "post"], []]


def test_a_form_without_the_session_s_token_or_of_another_site_is_refused(port: int) -> None:
    bob = Visitor(port, "bob")
    assert bob.act("post", text="x", token="").status == 403
    assert bob.act("post", text="x", token=Visitor(port, "bob").token).status == 403
    for origin in ("http://other.test", "http://[", "null"):
        assert bob.act("post", text="x", origin=origin).status == 403, origin
    assert bob.act("sign-in", name="eve", token="x").status == 403
    assert Visitor(port).act("post", text="x").status == 403
    assert bob.lines() == []


def test_an_altered_cookie_signs_no_user_in(port: int) -> None:
    bob = Visitor(port, "bob")
    assert "httponly; samesite=lax" in bob.act("post", text="x").headers["set-cookie"].lower()
    name, _, value = bob.cookie.partition("=")
    bob.cookie = f"{name}=x{value}"
    for path in ("/notifications", "/profile?name=bob", "/status", "/events/home", "/events/bell"):
        assert bob.get(path).status == 403, path


@pytest.mark.parametrize("text", ["", " \r\n ", "x" * (LONGEST_TEXT + 1), "a\x00b"])
def test_an_unsuitable_text_is_refused(port: int, text: str) -> None:
    assert Visitor(port, "bob").act("post", text=text).status == 400


@pytest.mark.parametrize("name", ["", "x" * (LONGEST_NAME + 1), "a\x1bb"])
def test_an_unsuitable_name_is_refused(port: int, name: str) -> None:
    visitor = Visitor(port)
    assert visitor.act("sign-in", name=name).status == 400
    assert Visitor(port, "bob").act("follow", name=name).status == 400
    assert Visitor(port, "bob").get(f"/profile?name={quote(name)}").status == 400


def test_requests_that_cannot_be_served_have_a_page_that_says_so(port: int) -> None:
    bob = Visitor(port, "bob")
    none = "01900000-0000-7000-8000-000000000000"
    for answer, status in (
        (bob.act("post", text="x" * 40_000), 413),
        (bob.act("post", **{f"field{number}": "x" for number in range(20)}), 400),
        (bob.act("like", id=none), 404),
        (bob.act("like", id="x"), 404),
        (bob.act("follow", name="bob"), 403),
        (bob.get("/?cursor=x"), 400),
        (bob.get("/none"), 404),
    ):
        assert (answer.status, b'role="alert"' in answer.body) == (status, True), answer.body


@pytest.mark.parametrize("back", ["//other.test", "/\\other.test", "http://other.test", "/\r\nx: y", "/é", ""])
def test_a_form_leads_to_this_site_only(port: int, back: str) -> None:
    assert Visitor(port, "bob").act("post", text="x", back=back).headers["location"] == "/"


def test_words_of_users_and_their_names_are_escaped(port: int) -> None:
    eve = Visitor(port, HOSTILE)
    eve.do("post", text=HOSTILE)
    post = f"/entry?id={eve.first_id()}"
    assert b"<h1>Your post</h1>" in eve.get(post).body
    assert f"<h1>{escape(HOSTILE)}&#x27;s post</h1>".encode() in Visitor(port, "bob").get(post).body
    page = eve.get(f"/profile?{urlencode({'name': HOSTILE})}")
    assert b"<script>alert" not in page.body
    assert eve.lines() == [f"{HOSTILE} posted | {HOSTILE}"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
