"""Feeds of the site: one backend for each process, and the site's operations on it."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

from django.conf import settings

from feedstore import Activity, connect
from feedstore.storage import ActivityStorage, Backend, KvStorage, Page, TimelineStorage

LONGEST_TIMELINE = 800


@cache
def backend() -> Backend:
    """Return the process's backend. All threads share it, and it connects at its first use."""
    return connect(settings.FEEDSTORE_URL, namespace="site")


def activities() -> ActivityStorage:
    """Return the storage of activities."""
    return backend().activity_storage()


def timelines() -> TimelineStorage:
    """Return the storage of timelines."""
    return backend().timeline_storage()


def follows() -> KvStorage:
    """Return the storage of follows: one item for each pair, so that a prefix scan finds the followers of a user."""
    return backend().kv_storage("follows")


def follow(follower: str, followee: str) -> None:
    """Let ``follower`` follow ``followee``."""
    # The parts of a key are quoted, so that the prefix of one name is not the prefix of another.
    follows().upsert(f"{quote(followee, safe='')}:{quote(follower, safe='')}", follower)


def publish(activity: Activity) -> None:
    """Store an activity and deliver it to the followers of its actor, atomically."""
    followers = follows().fetch_by_prefix(f"{quote(str(activity.actor), safe='')}:")
    keys = [f"feed:{follower}" for follower in followers]
    with backend().batch(atomic=True) as batch:
        activities().add(activity, batch_interface=batch)
        timelines().add_to_many(keys, [activity], max_length=LONGEST_TIMELINE, batch_interface=batch)


def page_of(reader: str, limit: int, cursor: str | None) -> Page:
    """Return a page of a reader's feed."""
    return timelines().get_page(f"feed:{reader}", limit, cursor=cursor, hydrate_from=activities())
