"""The feeds of the site: one backend for each process, and what the site does with it."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

from django.conf import settings

from feedstore import Activity, connect
from feedstore.storage import ActivityStorage, Backend, KvStorage, Page, TimelineStorage
from feedstore.timeline_keys import reader_key

LONGEST_TIMELINE = 800


@cache
def backend() -> Backend:
    """The process's backend. It is shared by all threads, and nothing is connected until it is used."""
    return connect(settings.FEEDSTORE_URL, namespace="site")


def activities() -> ActivityStorage:
    """Every activity, by id."""
    return backend().activity_storage()


def timelines() -> TimelineStorage:
    """Every timeline, by key."""
    return backend().timeline_storage()


def follows() -> KvStorage:
    """Who follows whom: one item for each pair, so that a prefix finds the followers of one."""
    return backend().kv_storage("follows")


def follow(follower: str, followee: str) -> None:
    """Let ``follower`` see what ``followee`` does from now on."""
    # The parts of a key are quoted, so that the prefix of one name is not the prefix of another.
    follows().upsert(f"{quote(followee, safe='')}:{quote(follower, safe='')}", follower)


def publish(activity: Activity) -> None:
    """Store an activity and deliver it to the followers of its actor: both, or neither."""
    followers = follows().fetch_by_prefix(f"{quote(str(activity.actor), safe='')}:")
    keys = [reader_key(follower) for follower in followers]
    with backend().batch(atomic=True) as batch:
        activities().add(activity, batch_interface=batch)
        timelines().add_to_many(keys, [activity], max_length=LONGEST_TIMELINE, batch_interface=batch)


def page_of(reader: str, limit: int, cursor: str | None) -> Page:
    """One page of what a reader sees."""
    return timelines().get_page(reader_key(reader), limit, cursor=cursor, hydrate_from=activities())
