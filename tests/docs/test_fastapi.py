"""The FastAPI page's site serves timelines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi_site import site

from docs.asgi import Visitor


@pytest.fixture
def visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    monkeypatch.setenv("FEEDSTORE_URL", f"sqlite:///{tmp_path / 'feeds.db'}")
    with Visitor(site) as visitor:
        yield visitor


def test_the_site_serves_timelines(visitor: Visitor) -> None:
    assert visitor.post("/users/ann/follow", {"name": "bob"}).status == 204
    assert visitor.post("/users/anna/follow", {"name": "eve"}).status == 204
    ids = [visitor.post(f"/photos/{number}/like", {"name": "ann"}).value for number in range(3)]

    first = visitor.get("/timelines/bob", limit=2).value
    assert [item["id"] for item in first["items"]] == [ids[2], ids[1]]
    assert first["items"][0]["actor"] == "ann"
    second = visitor.get("/timelines/bob", limit=2, cursor=first["next"]).value
    assert [item["id"] for item in second["items"]] == [ids[0]]
    assert (second["next"], second["complete"]) == (None, True)
    assert visitor.get("/timelines/eve").value == {"items": [], "next": None, "complete": True}


def test_the_site_refuses_a_bad_cursor(visitor: Visitor) -> None:
    refused = visitor.get("/timelines/bob", cursor="x" * 32)
    assert refused.status == 400
    assert "cursor" in refused.value["detail"]


def test_the_site_knows_whether_its_store_answers(visitor: Visitor) -> None:
    assert visitor.get("/health") == (200, "ok")
