"""The limit of a timeline, and the warning when it is near."""

from __future__ import annotations

import logging
from functools import partial

import pytest

from feedstore.backends.cassandra import memory
from feedstore.backends.cassandra.memory import LIMIT, Lengths, warn_if_long
from feedstore.errors import StorageTimeoutError
from feedstore.storage import Backend

LOGGER = "feedstore.backends.cassandra"


def test_a_timeline_is_looked_at_after_so_many_additions() -> None:
    counted = Lengths()
    for _ in range(2):
        assert [counted.must_check("app", "a", 50_000) for _ in range(4)] == [False, False, False, True]
    assert counted.must_check("app", "b", 200_000)
    assert not counted.must_check("other", "a", 150_000)
    assert not counted.must_check("app", "a", 150_000)


def test_very_many_timelines_are_not_all_remembered() -> None:
    counted = Lengths()
    for number in range(10_001):
        counted.must_check("app", str(number), 199_999)
    assert not counted.must_check("app", "0", 1)
    assert counted.must_check("app", "10000", 1)


@pytest.mark.parametrize(("length", "warns"), [(0, False), (799_999, False), (800_000, True), (LIMIT + 1, True)])
def test_a_warning_names_no_key(length: int, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        warn_if_long("feed:secret", lambda key: length)
    assert [f"{length:,}" in record.getMessage() for record in caplog.records] == [True] * warns
    assert "secret" not in caplog.text


def test_one_that_cannot_be_counted_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def count(key: str) -> int:
        raise StorageTimeoutError("no answer")

    warn_if_long("key", count)
    assert ["no answer" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_what_is_added_is_warned_of_once(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "_COUNT_EACH", 10)
    monkeypatch.setattr(memory, "_NEAR", 15)
    timelines = backend.timeline_storage()
    add = partial(timelines.add_many, "key")
    with caplog.at_level(logging.WARNING, LOGGER):
        add(range(10))
        add(range(10, 19))
        assert caplog.messages == []
        add([19])
        timelines.count("key")
    assert ["20 entries" in message for message in caplog.messages] == [True]
