"""Refusals, and no access to another user's timeline."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from feedstore import connect
from feedstore.errors import InvalidTypeError, InvalidValueError, StorageUnavailableError
from feedstore.live import LiveTimelines
from live.conftest import BOB, NewScene, Scene
from live.http import ask
from live.site import WHO


@pytest.mark.parametrize("path", ["/timeline", "/events"])
def test_an_unknown_user_sees_nothing(scene: Scene, path: str) -> None:
    assert ask(scene.port, path).status == 403


@pytest.mark.parametrize("path", ["/timeline?key=feed:eve", "/timeline?who=eve&timeline=feed:eve"])
def test_no_parameter_reaches_another_s_timeline(scene: Scene, path: str) -> None:
    scene.add(7, key="feed:eve")
    assert ask(scene.port, path, BOB).value["items"] == []
    stream = scene.stream(path=path.replace("/timeline", "/events"))
    scene.add(8, key="feed:eve")
    scene.add(9)
    assert [event.value["object"] for event in stream.read_until_event("activity")] == ["photo:9"]


def test_an_event_s_id_is_good_for_its_own_timeline_alone(scene: Scene) -> None:
    scene.add(1, key="feed:eve")
    eves = scene.stream(who="eve").events[-1].last_event_id
    stream = scene.stream(eves)
    assert [event.value["reason"] for event in stream.named("gap")] == ["unknown position"]
    assert stream.named("activity") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=9999999999", "cursor=x"])
def test_a_page_that_cannot_be_is_refused(scene: Scene, query: str) -> None:
    assert ask(scene.port, f"/timeline?{query}", BOB).status == 400


def test_a_key_that_cannot_be_is_refused(scene: Scene) -> None:
    assert ask(scene.port, "/events", {WHO: "x" * 2000}).status == 400


def test_a_store_that_does_not_answer_is_said_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageUnavailableError("it is away")

    monkeypatch.setattr(type(scene.timelines), "get_page", fail)
    answer = ask(scene.port, "/timeline", BOB)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert b"away" not in answer.body


def test_there_are_only_so_many_streams(new_scene: NewScene) -> None:
    scene = new_scene(most_clients=1)
    scene.stream()
    answer = ask(scene.port, "/events", BOB)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert "1 clients" in answer.value["detail"]


def test_head_opens_no_stream(scene: Scene) -> None:
    answer = ask(scene.port, "/events", BOB, method="HEAD")
    assert (answer.status, answer.headers["content-type"], answer.body) == (
        200,
        "text/event-stream; charset=utf-8",
        b"",
    )
    assert len(scene.live) == 0


OTHERS = connect("memory://").notifier()


@pytest.mark.parametrize(
    "options",
    [
        {"window": 0},
        {"window": 2**16},
        {"window": 2.5},
        {"most_missed": 0},
        {"most_waiting": 0},
        {"most_clients": -1},
        {"threads": 0},
        {"heartbeat_seconds": 0},
        {"settle_seconds": -1},
        {"longest_seconds": float("nan")},
        {"recheck_seconds": None},
        {"render": {}},
        {"notifier": "notifier"},
        {"notifier": OTHERS},
    ],
)
def test_options_that_cannot_be_are_refused(scene: Scene, options: dict[str, Any]) -> None:
    """T5: immediately, and not at the first client."""
    with pytest.raises((InvalidValueError, InvalidTypeError), match=next(iter(options))):
        LiveTimelines(scene.backend, **options)


@pytest.mark.parametrize("package", ["starlette", "sse_starlette", "uvicorn", "itsdangerous"])
def test_without_the_extra_the_command_names_it(package: str) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None; from feedstore.cli.main import main; "
        "sys.exit(main(['serve', '--store', 'memory://']))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (printed.returncode, printed.stdout) == (1, "")
    assert printed.stderr.startswith("feedstore: error: ")
    assert printed.stderr.endswith("pip install 'feedstore[sse]'\n")


@pytest.mark.parametrize("package", ["starlette", "sse_starlette"])
def test_without_the_extra_it_is_named(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; import feedstore.live"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert printed.returncode == 1
    assert "MissingDriverError" in printed.stderr
    assert "pip install 'feedstore[sse]'" in printed.stderr
