"""A timeline that cannot be read ends its own streams, and no other client's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import redis

from feedstore import Activity, connect
from feedstore.errors import StorageError, StorageTimeoutError, StoredDataError
from feedstore.live import LiveTimelines
from live.conftest import BOB, KEY, NewScene
from live.http import Stream, ask
from live.site import WHO, SiteServer
from polling import poll_until

EVE = "feed:eve"
ENDING_ERRORS = [OverflowError("int too big"), StoredDataError("not 16 bytes"), StorageError("WRONGTYPE")]


def fail_for(monkeypatch: pytest.MonkeyPatch, kind: type, error: Exception) -> None:
    """Let each read that concerns eve's timeline fail."""
    for name in ("get_many_slices", "get_page"):
        real = getattr(kind, name)

        def read(self: object, keys: str | Iterable[str], *arguments: Any, _real: Any = real, **options: Any) -> Any:
            if EVE in ([keys] if isinstance(keys, str) else list(keys)):
                raise error
            return _real(self, keys, *arguments, **options)

        monkeypatch.setattr(kind, name, read)


@pytest.mark.parametrize("error", ENDING_ERRORS, ids=lambda error: type(error).__name__)
def test_a_timeline_that_cannot_be_read_ends_its_own_streams(
    new_scene: NewScene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    scene = new_scene(settle_seconds=0.01)
    healthy, damaged = scene.stream(), scene.stream(who="eve")
    with monkeypatch.context() as patch:
        fail_for(patch, type(scene.timelines), error)
        scene.timelines.add_to_many([KEY, EVE], [1])
        scene.add(2)
        healthy.read_until_event("activity")
        damaged.read_to_the_end()
        assert damaged.retry is not None
        assert damaged.retry >= 12_000
        with Stream(scene.port, "/events", {WHO: "eve"}) as again:
            again.read_to_the_end()
        scene.add(3)
        healthy.read_until_event("activity", 2)
    assert scene.live.is_closed is False
    assert caplog.text.count(f"the timeline {EVE!r} cannot be read; its streams end") == 1
    # Once it can be read, its clients are live again.
    repaired = scene.stream(who="eve")
    scene.add(4, key=EVE)
    repaired.read_until_event("activity")
    assert (healthy.named("gap"), healthy.is_over) == ([], False)


def test_a_timeline_that_times_out_delays_no_other(new_scene: NewScene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = new_scene(settle_seconds=0.01)
    healthy, slow = scene.stream(), scene.stream(who="eve")
    with monkeypatch.context() as patch:
        fail_for(patch, type(scene.timelines), StorageTimeoutError("no answer"))
        for number in range(1, 11):
            scene.activities.add(Activity("ann", "like", "photo:7", id=number))
            scene.timelines.add_to_many([KEY, EVE], [number])
            healthy.read_until_event("activity", number)
        assert slow.is_over is False
    slow.read_until_event("activity", 10)
    assert slow.named("gap") == []


def test_an_id_that_is_not_16_bytes_in_redis(site_server: SiteServer, redis_url: str) -> None:
    with connect(redis_url, namespace="sse-damaged") as backend, redis.Redis.from_url(redis_url) as client:
        timelines, activities = backend.timeline_storage(notifier=backend.notifier()), backend.activity_storage()
        like = Activity("ann", "like", "photo:7")
        activities.add(like)
        timelines.add_to_many([KEY, EVE], [like])
        live = LiveTimelines(backend)
        with (
            site_server.serving(live) as port,
            Stream(port, "/events", BOB) as healthy,
            Stream(port, "/events", {WHO: "eve"}) as damaged,
        ):
            healthy.read_until_event("ready")
            damaged.read_until_event("ready")
            (name,) = client.scan_iter(f"feedstore{{sse-damaged*}}t:{EVE}", count=10_000)
            client.append(name, b"\xff" * 4)
            backend.notifier().publish([EVE])
            damaged.read_to_the_end()
            comment = Activity("ann", "comment", "photo:7")
            activities.add(comment)
            timelines.add(KEY, comment)
            healthy.read_until_event("activity")
            assert ask(port, "/timeline", BOB).status == 200
            poll_until(lambda: len(live) == 1, 20, "the end of the damaged timeline's stream")
