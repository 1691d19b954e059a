"""The example application, as who sends it anything would see it. A browser's view of it is another test's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from feedapp.application import new_application

from feedstore import connect
from feedstore.storage import Backend
from live.http import Answer, ask
from live.site import SiteServer


class Visitor:
    """A visitor with or without a cookie."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._headers: dict[str, str] = {}

    def sign_in(self, name: str) -> None:
        """Get a cookie."""
        answer = self.send("/sign-in", f"name={name}".encode())
        assert answer.status == 303
        self._headers = {"cookie": answer.headers["set-cookie"].partition(";")[0]}

    def send(self, path: str, body: bytes) -> Answer:
        """Send a form, or JSON."""
        return ask(self._port, path, self._headers, "POST", body)

    def post(self, path: str, **values: Any) -> Answer:
        """Send values as JSON."""
        return self.send(path, json.dumps(values).encode())

    def objects(self) -> list[str]:
        """The objects on the first page of the feed."""
        return [item["object"] for item in ask(self._port, "/timeline", self._headers).value["items"]]


@pytest.fixture
def visitor(site_server: SiteServer) -> Iterator[Visitor]:
    """A visitor who has not signed in, at an application in memory."""
    with connect("memory://") as backend, site_server.serving_site(new_application(backend, "secret")) as port:
        yield Visitor(port)


def test_what_one_posts_reaches_the_followers_on_any_store(site_server: SiteServer, backend: Backend) -> None:
    with site_server.serving_site(new_application(backend, "secret")) as port:
        ann, bob, eve = Visitor(port), Visitor(port), Visitor(port)
        for visitor, name in ((ann, "ann"), (bob, "bob"), (eve, "eve")):
            visitor.sign_in(name)
        assert bob.post("/follows", followee="ann").status == 201
        answer = ann.post("/activities", verb="posted", object="a photo")
        assert (answer.status, answer.value) == (201, {"said": "Posted to your feed and 1 others."})
        assert (ann.objects(), bob.objects(), eve.objects()) == (["a photo"], ["a photo"], [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/activities", b"\xff"),
        ("/activities", b"[]"),
        ("/activities", b'{"verb": "liked"}'),
        ("/activities", b'{"verb": "liked", "object": "\\ud800"}'),
        ("/activities", b'{"verb": "liked", "object": "a photo", "text": 5}'),
        ("/follows", b'{"followee": "\\udfff"}'),
        ("/follows", b'{"followee": ["ann"]}'),
        ("/sign-in", b"name="),
        ("/sign-in", b"name=%20%20&name"),
    ],
)
def test_what_cannot_be_is_refused(visitor: Visitor, path: str, body: bytes) -> None:
    visitor.sign_in("bob")
    assert visitor.send(path, body).status == 400
    assert visitor.objects() == []


@pytest.mark.parametrize("path", ["/activities", "/follows"])
def test_who_has_not_signed_in_changes_nothing(visitor: Visitor, path: str) -> None:
    assert visitor.post(path, verb="liked", object="a photo", followee="ann").status == 403


def test_a_name_in_no_encoding_is_a_name(visitor: Visitor) -> None:
    assert visitor.send("/sign-in", b"name=\xff\xfe").status == 303
