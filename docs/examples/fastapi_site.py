"""FastAPI site with a feed for each reader: the example of the documentation's FastAPI page."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel

from feedstore import Activity, connect
from feedstore.errors import InvalidCursorError, StorageUnavailableError
from feedstore.ids import id_to_text
from feedstore.storage import Backend

LONGEST_TIMELINE = 800


class Reader(BaseModel):
    """The user of a request. A real site would take the name from a token."""

    name: str


class Item(BaseModel):
    """An activity, as a page shows it."""

    id: str
    actor: str | int
    verb: str
    object: str | int | None
    time: datetime


class TimelinePage(BaseModel):
    """Some items of a timeline, and the cursor of the next page."""

    items: list[Item]
    next: str | None
    complete: bool


@asynccontextmanager
async def lifespan(site: FastAPI) -> AsyncIterator[None]:
    """Keep one backend open for as long as the site runs."""
    with connect(os.environ.get("FEEDSTORE_URL", "sqlite:///feeds.db"), namespace="site") as backend:
        site.state.backend = backend
        yield


def backend_of(request: Request) -> Backend:
    """The site's backend. It is shared by all threads."""
    backend: Backend = request.app.state.backend
    return backend


SiteBackend = Annotated[Backend, Depends(backend_of)]
site = FastAPI(lifespan=lifespan)


@site.post("/users/{followee}/follow", status_code=204)
def follow(followee: str, reader: Reader, backend: SiteBackend) -> None:
    """Let the reader follow another user."""
    backend.kv_storage("follows").upsert(f"{quote(followee, safe='')}:{quote(reader.name, safe='')}", reader.name)


@site.post("/photos/{photo}/like", status_code=201)
def like(photo: str, reader: Reader, backend: SiteBackend) -> str:
    """Store a like and deliver it to the reader's followers, atomically."""
    activity = Activity(reader.name, "like", f"photo:{photo}")
    followers = backend.kv_storage("follows").fetch_by_prefix(f"{quote(reader.name, safe='')}:")
    keys = [f"feed:{follower}" for follower in followers]
    with backend.batch(atomic=True) as batch:
        backend.activity_storage().add(activity, batch_interface=batch)
        backend.timeline_storage().add_to_many(keys, [activity], max_length=LONGEST_TIMELINE, batch_interface=batch)
    return id_to_text(activity.id)


@site.get("/timelines/{reader}")
def timeline(
    reader: str,
    backend: SiteBackend,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    cursor: str | None = None,
) -> TimelinePage:
    """Return a page of a reader's timeline."""
    activities = backend.activity_storage()
    try:
        page = backend.timeline_storage().get_page(f"feed:{reader}", limit, cursor=cursor, hydrate_from=activities)
    except InvalidCursorError as error:
        raise HTTPException(400, str(error)) from error
    items = [
        Item(id=id_to_text(one.id), actor=one.actor, verb=one.verb, object=one.object, time=one.time)
        for one in page.items
    ]
    return TimelinePage(items=items, next=page.next_cursor, complete=page.complete)


@site.get("/health")
def health(backend: SiteBackend) -> str:
    """Check that the store answers."""
    try:
        backend.ping()
    except StorageUnavailableError as error:
        raise HTTPException(503, str(error)) from error
    return "ok"
