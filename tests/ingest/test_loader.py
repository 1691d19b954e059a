"""The loader: its activities, its deliveries and its counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from feedstore import connect
from feedstore.errors import InputError, InvalidTypeError, InvalidValueError
from feedstore.ids import id_to_text
from feedstore.ingest import InputFollowers, Problems, Progress, Source, Summary, chunk
from feedstore.storage import Backend
from ingest.deeds import activities_csv, follows_csv
from ingest.inputs import GOOD_ROW, HEADER, csv_text, new_loader, new_manager, read, source
from ingest.stored import Stored, settle, stored_in

FOLLOWS = InputFollowers([("bob", "ann"), ("eve", "ann"), ("bob", "cem"), ("ann", "zoe")])
ROWS = [
    (1, "2026-05-01T12:00:00Z", "ann", "like", "photo:7", "", ""),
    (2, "2026-05-01T12:05:00Z", "cem", "comment", "photo:7", "album:1", '{"text":"What a view"}'),
    (3, "2026-05-01T14:10:00+02:00", "ann", "follow", "cem", "", ""),
    (4, "2026-05-01T12:15:00Z", "eve", "like", "photo:8", "", ""),
]


def load(backend: Backend | None, text: str, follows: InputFollowers | None = FOLLOWS, **options: int) -> Summary:
    return new_loader(backend, follows, **options).load(source(text))


def deeds_in(backend: Backend, key: str) -> list[tuple[str | int, str]]:
    """The actors and objects of a timeline, newest first."""
    entries = backend.timeline_storage().get_slice(key, 0, None, hydrate_from=backend.activity_storage())
    return [(activity.actor, activity.verb) for activity in entries]


def test_activities_go_to_their_actors_and_to_their_followers(backend: Backend) -> None:
    summary = load(backend, csv_text(ROWS))
    assert deeds_in(backend, "user:ann") == [("ann", "follow"), ("ann", "like")]
    assert deeds_in(backend, "user:cem") == [("cem", "comment")]
    assert deeds_in(backend, "user:eve") == [("eve", "like")]
    assert deeds_in(backend, "home:bob") == [("ann", "follow"), ("cem", "comment"), ("ann", "like")]
    assert deeds_in(backend, "home:eve") == [("ann", "follow"), ("ann", "like")]
    assert sorted(backend.timeline_storage().keys()) == ["home:bob", "home:eve", "user:ann", "user:cem", "user:eve"]
    assert list(backend.activity_storage().iterate()) == sorted(read(csv_text(ROWS)), key=lambda one: one.id)
    expected = Summary(rows=4, activities=4, deliveries=5, planned_deliveries=5, seconds=summary.seconds)
    assert summary == expected


def test_the_ids_are_those_that_everybody_makes(backend: Backend) -> None:
    load(backend, csv_text(ROWS[:1]))
    (reference,) = backend.timeline_storage().get_slice("home:bob", 0, None)
    assert id_to_text(reference.serialization_id) == "019de368-f600-7000-8752-c6a2eeb0710b"


def test_the_same_input_again_changes_nothing(backend: Backend) -> None:
    load(backend, csv_text(ROWS))
    before = stored_in(backend)
    summary = load(backend, csv_text(ROWS))
    assert summary.rows == 4
    if backend.abilities.exact_counts:
        assert (summary.activities, summary.repeated_activities) == (0, 4)
        assert (summary.deliveries, summary.repeated_deliveries) == (0, 5)
    assert stored_in(backend) == before


def test_followers_timelines_keep_their_newest_entries_and_actors_all_of_theirs(backend: Backend) -> None:
    rows = [(n, f"2026-05-01T12:00:{n:02}Z", "ann", "like", f"photo:{n}", "", "") for n in range(10)]
    summary = load(backend, csv_text(rows), max_length=3, chunk_rows=4)
    assert summary.deliveries == 20
    timelines = backend.timeline_storage()
    settle(backend, 3)
    assert timelines.count("user:ann") == 10
    newest = timelines.get_slice("user:ann", 0, 3)
    assert timelines.get_slice("home:bob", 0, None) == newest
    page = timelines.get_page("home:bob", 10)
    assert not page.complete
    assert page.floor is not None
    assert page.floor <= newest[-1].serialization_id


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
def test_what_is_too_old_is_dropped_and_known_to_be_missing(backend: Backend, chunk_rows: int) -> None:
    rows = [(n, f"2026-05-01T12:00:{n:02}Z", "ann", "like", f"photo:{n}", "", "") for n in range(5)]
    late = [(9, "2026-04-30T12:00:00Z", "cem", "like", "photo:9", "", "")]
    summary = load(backend, csv_text(rows + late), max_length=5, chunk_rows=chunk_rows)
    assert (summary.activities, summary.deliveries, summary.planned_deliveries) == (6, 11, 11)
    timelines = backend.timeline_storage()
    settle(backend, 5)
    assert deeds_in(backend, "home:bob") == [("ann", "like")] * 5
    assert timelines.get_page("home:bob", 10).complete is False
    assert timelines.get_page("home:eve", 10).complete is True
    assert deeds_in(backend, "user:cem") == [("cem", "like")]


def test_an_older_input_behind_a_newer_one(backend: Backend) -> None:
    newer = [(n, f"2026-05-02T12:00:{n:02}Z", "ann", "like", f"photo:{n}", "", "") for n in range(5)]
    older = [(n, f"2026-05-01T12:00:{n:02}Z", "cem", "like", f"photo:{n}", "", "") for n in range(5)]
    load(backend, csv_text(newer), max_length=8)
    summary = load(backend, csv_text(older), max_length=8)
    assert (summary.activities, summary.deliveries) == (5, 5)
    settle(backend, 8)
    assert deeds_in(backend, "home:bob") == [("ann", "like")] * 5 + [("cem", "like")] * 3
    if backend.abilities.exact_counts:
        # Those that the timeline dropped before count as new, and are dropped again.
        assert load(backend, csv_text(older), max_length=8).deliveries == 2
        settle(backend, 8)
        assert len(deeds_in(backend, "home:bob")) == 8


def test_chunks_may_be_cut_anywhere() -> None:
    text, follows = activities_csv(300, late=0.1), read_graph()
    states: list[tuple[Stored, Summary]] = []
    for chunk_rows in (1, 7, 300, 1000):
        with connect("memory://") as backend:
            summary = load(backend, text, follows, max_length=20, chunk_rows=chunk_rows)
            states.append((stored_in(backend), replace(summary, seconds=0)))
    assert states[1:] == states[:1] * 3
    assert any(floor.value is not None for floor in states[0][0].floors.values())


def read_graph() -> InputFollowers:
    pairs = [line.split(",")[:2] for line in follows_csv().splitlines()[1:]]
    return InputFollowers((follower, followee) for follower, followee in pairs)


def test_a_chunk_ends_before_it_holds_too_many_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "MAX_DELIVERIES", 4)
    followers = InputFollowers((f"reader:{n}", "ann") for n in range(3))
    followed = chunk.Chunk(chunk.Readers(new_manager(None, followers)))
    (activity,) = read(HEADER + GOOD_ROW)
    followed.add(activity)
    assert not followed.is_full
    followed.add(activity)
    assert followed.is_full


def test_without_follows_the_actors_own_timelines_are_written(backend: Backend) -> None:
    assert load(backend, csv_text(ROWS), None).deliveries == 0
    assert sorted(backend.timeline_storage().keys()) == ["user:ann", "user:cem", "user:eve"]


def test_a_dry_run_counts_everything_and_needs_no_store() -> None:
    summary = load(None, csv_text(ROWS))
    assert (summary.rows, summary.planned_deliveries, summary.activities, summary.deliveries) == (4, 5, 0, 0)
    with pytest.raises(InputError, match="<stdin>:6: "):
        load(None, csv_text([*ROWS, (5, "yesterday", "ann", "like", "x", "", "")]))


def test_the_actors_of_the_rows_that_have_followers_are_kept() -> None:
    loader = new_loader(None, FOLLOWS)
    loader.load(source(csv_text(ROWS)))
    assert loader.followed_actors == {"ann", "cem"}
    assert FOLLOWS.followees == {"ann", "cem", "zoe"}


def test_a_wrong_row_stops_the_run_behind_all_rows_before_it(backend: Backend) -> None:
    loader = new_loader(backend, FOLLOWS, chunk_rows=2)
    wrong = (9, "2026-05-01T12:20:00", "ann", "like", "photo:9", "", "")
    with pytest.raises(InputError, match="<stdin>:5: the time '2026-05-01T12:20:00' has no offset"):
        loader.load(source(csv_text([*ROWS[:3], wrong, ROWS[3]])))
    assert (loader.summary.rows, loader.summary.activities, loader.summary.skipped) == (3, 3, 0)
    assert len(list(backend.activity_storage().iterate())) == 3


def test_wrong_rows_are_passed_over_counted_and_the_first_of_them_kept() -> None:
    problems = Problems("skip")
    wrong = [(n, "1 May 2026", "ann", "like", "photo:9", "", "") for n in range(30)]
    with connect("memory://") as backend:
        summary = new_loader(backend, FOLLOWS, problems=problems).load(source(csv_text([*wrong, *ROWS])))
    assert (summary.rows, summary.skipped, problems.count) == (4, 30, 30)
    assert [error.line for error in problems.first] == list(range(2, 22))


def test_errors_stop_or_are_skipped() -> None:
    with pytest.raises(InvalidValueError, match="on_error must be 'stop' or 'skip', not 'ignore'"):
        Problems("ignore")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0 seconds"),
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(days=7), "7 days"),
        (timedelta(seconds=1.5), "1.5 seconds"),
    ],
)
def test_a_refusal_names_the_limit_in_its_largest_unit(duration: timedelta, text: str) -> None:
    rows = [(1, "9998-01-01", "ann", "like", "photo:9", "", "")]
    with pytest.raises(InputError, match=f"lies more than {text} ahead of the clock"):
        new_loader(None, max_future=duration).load(source(csv_text(rows)))


def test_what_lies_too_far_ahead_is_refused() -> None:
    now = datetime.now(timezone.utc)
    rows = [
        (n, (now + timedelta(hours=hours)).isoformat(), "ann", "like", "photo:7", "", "")
        for n, hours in enumerate((-1, 1, 23, 25))
    ]
    with pytest.raises(InputError, match=r"<stdin>:5: the time .* lies more than 1 day ahead of the clock"):
        load(None, csv_text(rows))
    loader = new_loader(None, max_future=timedelta(minutes=30), problems=Problems("skip"))
    assert loader.load(source(csv_text(rows))).rows == 1
    for max_future in (timedelta(days=2), timedelta.max):
        assert new_loader(None, max_future=max_future).load(source(csv_text(rows))).rows == 4


@pytest.mark.parametrize("options", [{"max_length": 0}, {"max_length": -1}, {"chunk_rows": 0}])
def test_lengths_below_one_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(options))):
        new_loader(None, **options)  # type: ignore[arg-type]


def test_lengths_are_ints() -> None:
    with pytest.raises(InvalidTypeError, match="max_length must be an int"):
        new_loader(None, max_length="800")  # type: ignore[arg-type]


def test_progress_hears_of_every_chunk(tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []

    class Hearing(Progress):
        def start(self, source: Source, summary: Summary) -> None:
            heard.append(("start", summary.rows))

        def advance(self, source: Source, summary: Summary) -> None:
            heard.append(("advance", summary.rows))
            assert source.size is not None
            assert 0 < source.bytes_read <= source.size

        def finish(self, source: Source, summary: Summary) -> None:
            heard.append(("finish", summary.rows))

    path = tmp_path / "activities.csv"
    path.write_text(csv_text(ROWS))
    loader = new_loader(None, chunk_rows=3, progress=Hearing())
    loader.load(Source(path))
    assert heard == [("start", 0), ("advance", 3), ("advance", 4), ("finish", 4)]
    with pytest.raises(InputError):
        loader.load(source("no header"))
    assert heard[4:] == [("start", 4), ("finish", 4)]


def test_a_summary_counts_all_inputs_of_a_loader(backend: Backend) -> None:
    loader = new_loader(backend, FOLLOWS)
    loader.load(source(csv_text(ROWS[:2])))
    loader.load(source(csv_text(ROWS[2:])))
    assert (loader.summary.rows, loader.summary.activities, loader.summary.deliveries) == (4, 4, 5)
    assert loader.summary.as_dict()["rows"] == 4
    assert loader.summary.rows_per_second > 0
