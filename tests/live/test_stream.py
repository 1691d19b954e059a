"""The stream, as a browser sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.middleware.gzip import GZipMiddleware

from feedstore import Activity
from feedstore.errors import StorageUnavailableError
from feedstore.ids import MAX_ID, id_to_text
from live.conftest import BOB, KEY, NewScene, Scene
from live.events import Event
from live.http import Stream, ask
from live.site import SiteServer, new_site
from polling import poll_until


def texts(events: list[Event]) -> list[int]:
    """The ids of the activities in events, as ints."""
    return [int(event.value["id"].replace("-", ""), 16) for event in events]


def test_a_stream_begins_with_a_hint_and_says_when_it_is_live(scene: Scene) -> None:
    scene.add(1)
    stream = scene.stream()
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-store, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.retry is not None
    assert 1000 <= stream.retry <= 5000
    assert [event.name for event in stream.events] == ["ready"]
    assert len(stream.events[0].last_event_id) == 68


def test_starlette_s_compression_leaves_the_stream_alone(new_scene: NewScene, site_server: SiteServer) -> None:
    """Compressed, an event would wait until a block of the compression is full."""
    scene = new_scene()
    with (
        site_server.serving_site(GZipMiddleware(new_site(scene.live))) as port,
        Stream(port, "/events", {**BOB, "accept-encoding": "gzip"}) as stream,
    ):
        stream.read_until_event("ready")
        assert "content-encoding" not in stream.headers
        scene.add(1)
        assert texts(stream.read_until_event("activity")) == [1]


def test_what_is_added_comes_with_its_fields(scene: Scene) -> None:
    stream = scene.stream()
    hostile = "<script>\r\n\r\nevent: gap\ndata: {}\n\n\u2028"
    like = Activity("ann", "like", hostile, target=2**60, extra_context={"text": hostile, "nan": float("nan")})
    scene.activities.add(like)
    scene.timelines.add(KEY, like)
    (event,) = stream.read_until_event("activity")
    assert event.value == {
        "id": id_to_text(like.id),
        "time": like.time.isoformat(),
        "actor": "ann",
        "verb": "like",
        "object": hostile,
        "target": str(2**60),
        "foreign_id": None,
        "extra_context": {"text": hostile, "nan": "nan"},
    }
    assert stream.named("gap") == []


def test_a_client_that_comes_back_is_sent_what_it_missed_and_nothing_else(scene: Scene) -> None:
    stream = scene.stream()
    scene.add(10, 20)
    events = stream.read_until_event("activity", 2)
    scene.add(30, 40, 50)
    for event, missed in zip(events, ([20, 30, 40, 50], [30, 40, 50]), strict=True):
        again = scene.stream(event.last_event_id)
        assert texts(again.named("activity")) == missed
        assert [event.name for event in again.events][-1] == "ready"
        assert again.named("gap") == []


def test_every_event_of_what_was_missed_is_a_place_to_go_on_from(new_scene: NewScene) -> None:
    scene = new_scene(window=5, most_missed=20)
    begin = scene.stream().events[0].last_event_id
    scene.add(*range(1, 18))
    events = scene.stream(begin).named("activity")
    assert texts(events) == list(range(1, 18))
    for number, event in enumerate(events, 2):
        again = scene.stream(event.last_event_id)
        assert texts(again.named("activity")) == list(range(number, 18))
        assert again.named("gap") == []


def test_an_entry_that_is_stored_late_comes_too(scene: Scene) -> None:
    scene.add(*range(100, 120))
    stream = scene.stream()
    scene.timelines.remove(KEY, 117)
    assert stream.read_until_event("removed")[0].value == {"id": id_to_text(117)}
    scene.add(117)
    assert texts(stream.read_until_event("activity", 2)) == [114, 117]


def test_a_late_entry_that_no_stream_received_is_a_gap(scene: Scene) -> None:
    scene.add(1, 3)
    last = scene.stream().events[-1].last_event_id
    scene.add(2)
    again = scene.stream(last)
    assert [event.value["reason"] for event in again.named("gap")] == ["changed"]
    assert again.named("activity") == []


def test_a_removal_is_a_gap_once_and_not_for_ever(scene: Scene) -> None:
    scene.add(1, 2, 3)
    last = scene.stream().events[-1].last_event_id
    scene.timelines.remove(KEY, 2)
    (gap,) = scene.stream(last).named("gap")
    assert gap.value == {"reason": "changed"}
    assert scene.stream(gap.last_event_id).named("gap") == []


@pytest.mark.parametrize(("missed", "reasons"), [(6, []), (7, ["too many"])])
def test_up_to_a_limit_everything_is_sent_again(scene: Scene, missed: int, reasons: list[str]) -> None:
    scene.add(1, 2)
    last = scene.stream().events[-1].last_event_id
    scene.add(*range(10, 10 + missed))
    again = scene.stream(last)
    assert [event.value["reason"] for event in again.named("gap")] == reasons
    assert len(again.named("activity")) == (0 if reasons else missed)


def test_what_was_trimmed_before_it_was_sent_is_a_gap(scene: Scene) -> None:
    scene.add(1)
    last = scene.stream().events[-1].last_event_id
    scene.add(2, 3, 4)
    scene.timelines.trim(KEY, 2)
    assert [event.value["reason"] for event in scene.stream(last).named("gap")] == ["trimmed"]


def test_a_long_timeline_that_is_trimmed_at_its_end_has_no_gaps(scene: Scene) -> None:
    scene.add(*range(1, 21))
    scene.timelines.trim(KEY, 20)
    last = scene.stream().events[-1].last_event_id
    scene.add(21, 22)
    scene.timelines.trim(KEY, 20)
    again = scene.stream(last)
    assert (texts(again.named("activity")), again.named("gap")) == ([21, 22], [])


@pytest.mark.parametrize("position", ["x", "A" * 68, "é", "0" * 68])
def test_an_id_that_cannot_be_read_is_a_gap(scene: Scene, position: str) -> None:
    assert [event.value["reason"] for event in scene.stream(position).named("gap")] == ["unknown position"]


def test_both_ends_of_the_ids(scene: Scene) -> None:
    stream = scene.stream()
    begin = stream.events[0].last_event_id
    scene.add(0)
    assert texts(stream.read_until_event("activity")) == [0]
    scene.add(MAX_ID)
    assert texts(stream.read_until_event("activity", 2)) == [0, MAX_ID]
    assert texts(scene.stream(begin).named("activity")) == [0, MAX_ID]
    last = scene.stream(stream.parser.last_event_id)
    assert [event.name for event in last.events] == ["ready"]
    scene.timelines.trim(KEY, 0)
    emptied = scene.stream(last.parser.last_event_id)
    assert len(emptied.named("gap")) == 1
    assert scene.stream(emptied.parser.last_event_id).named("gap") == []


def test_an_edit_sends_nothing(scene: Scene) -> None:
    scene.add(1)
    stream = scene.stream()
    scene.activities.add(Activity("ann", "like", "another", id=1))
    scene.timelines.add(KEY, 1)
    scene.add(2)
    assert texts(stream.read_until_event("activity")) == [2]


def test_an_entry_without_its_activity_is_passed_over(scene: Scene) -> None:
    stream = scene.stream()
    scene.timelines.add(KEY, 7)
    scene.add(8)
    assert texts(stream.read_until_event("activity")) == [8]


def test_a_damaged_activity_does_not_silence_the_others(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    stream = scene.stream()
    scene.activities.add_to_storage({7: b"damaged"})
    scene.timelines.add(KEY, 7)
    scene.add(8, 9)
    assert texts(stream.read_until_event("activity", 2)) == [8, 9]
    assert id_to_text(7) in caplog.text


def test_a_damaged_activity_does_not_hide_the_page(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.activities.add_to_storage({7: b"damaged"})
    scene.timelines.add(KEY, 7)
    scene.add(8, 9)
    page = ask(scene.port, "/timeline?limit=2", BOB).value
    assert [item["object"] for item in page["items"]] == ["photo:9", "photo:8"]
    assert ask(scene.port, f"/timeline?cursor={page['next_cursor']}", BOB).value["items"] == []
    assert id_to_text(7) in caplog.text


def test_what_render_raises_ends_no_stream(new_scene: NewScene, caplog: pytest.LogCaptureFixture) -> None:
    def render(activity: Activity) -> dict[str, Any]:
        if activity.object == "photo:2":
            raise ZeroDivisionError
        return {"object": object() if activity.object == "photo:3" else activity.object}

    scene = new_scene(render=render)
    stream = scene.stream()
    scene.add(1, 2, 3, 4)
    assert [event.value["object"] for event in stream.read_until_event("activity", 2)] == ["photo:1", "photo:4"]
    scene.add(5)
    stream.read_until_event("activity", 3)
    assert "ZeroDivisionError" in caplog.text
    scene.timelines.remove(KEY, 3)
    items = ask(scene.port, "/timeline", BOB).value["items"]
    assert [item["object"] for item in items] == ["photo:5", "photo:4", "photo:1"]


def test_many_that_watch_one_timeline_are_all_told(scene: Scene) -> None:
    streams = [scene.stream() for _ in range(20)]
    scene.add(1, 2)
    for stream in streams:
        assert texts(stream.read_until_event("activity", 2)) == [1, 2]


def test_a_page_says_where_its_stream_begins(scene: Scene) -> None:
    scene.add(1, 2)
    page = ask(scene.port, "/timeline?limit=1", BOB).value
    assert [item["object"] for item in page["items"]] == ["photo:2"]
    assert (page["complete"], page["next_cursor"] is None) == (False, False)
    scene.add(3)
    assert texts(scene.stream(path=f"/events?position={page['position']}").named("activity")) == [3]
    second = ask(scene.port, f"/timeline?cursor={page['next_cursor']}", BOB).value
    assert ([item["object"] for item in second["items"]], second["position"]) == (["photo:1"], None)
    assert second["complete"]


def test_the_last_event_counts_more_than_where_the_page_began(scene: Scene) -> None:
    begin = ask(scene.port, "/timeline", BOB).value["position"]
    scene.add(1)
    stream = scene.stream(path=f"/events?position={begin}")
    (event,) = stream.named("activity")
    again = scene.stream(event.last_event_id, path=f"/events?position={begin}")
    assert again.named("activity") == []


def test_heartbeats_come_as_comments(new_scene: NewScene) -> None:
    stream = new_scene(heartbeat_seconds=0.5).stream()
    stream.read_until(lambda: stream.parser.comments >= 3, "three heartbeats")
    assert [event.name for event in stream.events] == ["ready"]


def test_a_stream_ends_in_time_so_that_its_client_is_asked_again_who_it_is(new_scene: NewScene) -> None:
    scene = new_scene(heartbeat_seconds=0.5, longest_seconds=1)
    stream = scene.stream()
    stream.read_to_the_end()
    assert stream.retry is not None
    poll_until(lambda: len(scene.live) == 0, 20, "the end of the stream")


def test_a_client_that_goes_is_forgotten(scene: Scene) -> None:
    stream = scene.stream()
    assert len(scene.live) == 1
    stream.__exit__(None, None, None)
    poll_until(lambda: len(scene.live) == 0, 20, "the end of the stream")
    scene.add(1)
    assert texts(scene.stream(stream.parser.last_event_id).named("activity")) == [1]


@pytest.mark.parametrize("most_missed", [10, 10_000])
def test_a_client_that_takes_too_slowly_costs_a_bounded_amount_and_loses_nothing_silently(
    new_scene: NewScene, most_missed: int
) -> None:
    scene = new_scene(window=50, most_missed=most_missed, most_waiting=8, settle_seconds=0.01)
    with Stream(scene.port, "/events", BOB, receive_buffer=4096) as slow:
        slow.read_until_event("ready")
        quick = scene.stream()
        large = {"text": "x" * 20_000}
        for number in range(1, 201):
            scene.activities.add(Activity("ann", "like", number, id=number, extra_context=large))
            scene.timelines.add(KEY, number)
            quick.read_until_event("activity", number)
        scene.add(1000)
        slow.read_until(lambda: slow.named("gap") or 1000 in texts(slow.named("activity")), "all or a gap")
        told = texts(slow.named("activity"))
        if slow.named("gap"):
            assert slow.named("gap")[0].value == {"reason": "too many"}
        else:
            assert told == [*range(1, 201), 1000]
        assert bool(slow.named("gap")) is (most_missed == 10)


def test_an_unpublished_change_is_found_at_the_next_recheck(new_scene: NewScene) -> None:
    scene = new_scene(recheck_seconds=0.1)
    stream = scene.stream()
    scene.activities.add(Activity("ann", "like", "photo:7", id=7))
    scene.backend.timeline_storage().add(KEY, 7)
    assert texts(stream.read_until_event("activity")) == [7]


def test_more_at_once_than_may_wait_reaches_who_was_waiting(new_scene: NewScene) -> None:
    scene = new_scene(most_waiting=2, heartbeat_seconds=3_600)
    stream = scene.stream()
    scene.add(*range(1, 6))
    assert texts(stream.read_until_event("activity", 5)) == [1, 2, 3, 4, 5]


def test_a_store_that_fails_for_a_while_delays_and_loses_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream = scene.stream()
    reads = type(scene.timelines)
    failures = iter([1, 2, 3])
    real = reads.get_many_slices

    def fail(*arguments: object, **options: object) -> object:
        if next(failures, None) is not None:
            raise StorageUnavailableError("it is away")
        return real(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(reads, "get_many_slices", fail)
    scene.add(1)
    assert texts(stream.read_until_event("activity")) == [1]
    assert caplog.text.count("it is away") == 3
    assert json.loads(stream.named("activity")[0].data)["object"] == "photo:1"
