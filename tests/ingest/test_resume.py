"""Resumed runs: stored rows are not stored again, and the input before the position must be unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from feedstore import connect
from feedstore.errors import InputError, InvalidValueError, StoredDataError
from feedstore.ingest import Checkpoint, Checkpoints, InputFollowers, Problems, Source, Summary
from feedstore.ingest.lines import InputPosition
from feedstore.storage import Backend
from ingest.deeds import activities_csv
from ingest.inputs import HEADER, BreakingOff, BrokenOff, compressed, new_loader, source
from ingest.stored import Stored, settle, stored_in

FOLLOWS = InputFollowers((f"reader:{n % 7}", f"dev:{n}") for n in range(20))
TEXT = activities_csv(100, actors=20, late=0.1)
LINES = TEXT.splitlines(keepends=True)
MAX_LENGTH = 8


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of a hundred rows."""
    path = tmp_path / "activities.csv"
    path.write_text(TEXT)
    return path


@pytest.fixture
def undisturbed() -> Stored:
    """The content of a store after an undisturbed run."""
    with connect("memory://") as backend:
        load(backend, source(TEXT))
        return stored_in(backend)


def load(backend: Backend, given: Source, resume: bool = False, chunk_rows: int = 10) -> Summary:
    return new_loader(backend, FOLLOWS, max_length=MAX_LENGTH, chunk_rows=chunk_rows).load(given, resume)


def break_off(backend: Backend, given: Source, chunks: int) -> None:
    """Begin or resume a run, and end it after some chunks of 10 rows."""
    loader = new_loader(backend, FOLLOWS, max_length=MAX_LENGTH, chunk_rows=10, progress=BreakingOff(chunks))
    with pytest.raises(BrokenOff):
        loader.load(given, resume=True)


@pytest.mark.parametrize("chunks", range(1, 11))
def test_a_run_goes_on_behind_its_last_chunk(path: Path, undisturbed: Stored, chunks: int) -> None:
    with connect("memory://") as backend:
        break_off(backend, Source(path), chunks)
        summary = load(backend, Source(path), resume=True)
        assert (summary.resumed_rows, summary.rows, summary.activities) == (
            10 * chunks,
            100 - 10 * chunks,
            summary.rows,
        )
        assert summary.repeated_deliveries == 0
        assert stored_in(backend) == undisturbed


def test_a_run_may_be_broken_off_again_and_again(backend: Backend, path: Path, undisturbed: Stored) -> None:
    for _ in range(9):
        break_off(backend, Source(path), 1)
    assert load(backend, Source(path), resume=True).rows == 10
    settle(backend, MAX_LENGTH)
    assert stored_in(backend) == undisturbed


@pytest.mark.parametrize("chunk_rows", [1, 3, 64, 1000])
def test_chunks_may_be_cut_otherwise_when_resuming(path: Path, undisturbed: Stored, chunk_rows: int) -> None:
    with connect("memory://") as backend:
        break_off(backend, Source(path), 3)
        load(backend, Source(path), resume=True, chunk_rows=chunk_rows)
        assert stored_in(backend) == undisturbed


def test_without_resuming_a_run_starts_over(path: Path, undisturbed: Stored) -> None:
    with connect("memory://") as backend:
        break_off(backend, Source(path), 3)
        summary = load(backend, Source(path))
        assert (summary.resumed_rows, summary.rows, summary.activities) == (0, 100, 70)
        found = stored_in(backend)
    assert replace(found, checkpoints=[]) == replace(undisturbed, checkpoints=[])


def test_what_was_never_begun_begins(backend: Backend, path: Path, undisturbed: Stored) -> None:
    assert load(backend, Source(path), resume=True).rows == 100
    settle(backend, MAX_LENGTH)
    assert stored_in(backend) == undisturbed


def test_what_has_ended_stays_as_it_is(backend: Backend, path: Path) -> None:
    load(backend, Source(path))
    before = stored_in(backend)
    summary = load(backend, Source(path), resume=True)
    assert (summary.rows, summary.resumed_rows) == (0, 100)
    assert stored_in(backend) == before


def test_a_file_that_has_grown_goes_on_with_what_is_new(backend: Backend, path: Path, undisturbed: Stored) -> None:
    path.write_text("".join(LINES[:61]))
    load(backend, Source(path))
    path.write_text(TEXT)
    summary = load(backend, Source(path), resume=True)
    assert (summary.resumed_rows, summary.rows) == (60, 40)
    settle(backend, MAX_LENGTH)
    assert stored_in(backend) == undisturbed


def test_a_file_may_be_compressed_meanwhile(path: Path, undisturbed: Stored) -> None:
    with connect("memory://") as backend:
        break_off(backend, Source(path), 5)
        path.write_bytes(compressed(TEXT))
        assert load(backend, Source(path), resume=True).rows == 50
        assert stored_in(backend) == undisturbed


def test_standard_input_is_known_by_what_came_first(undisturbed: Stored) -> None:
    with connect("memory://") as backend:
        break_off(backend, source(TEXT), 5)
        with pytest.raises(InputError, match="<stdin>: the first 51 lines are not those that were ingested before"):
            load(backend, source(activities_csv(100, seed=2)), resume=True)
        assert load(backend, source(TEXT), resume=True).rows == 50
        assert stored_in(backend) == undisturbed


@pytest.mark.parametrize("change", ["edited", "cut", "reordered", "emptied"])
def test_a_file_that_has_changed_is_refused(path: Path, change: str) -> None:
    changed = {
        "edited": TEXT.replace("\n7,", "\n7000,", 1),
        "cut": "".join(LINES[:31]),
        "reordered": "".join([*LINES[:5], LINES[6], LINES[5], *LINES[7:]]),
        "emptied": HEADER,
    }
    with connect("memory://") as backend:
        break_off(backend, Source(path), 5)
        before = stored_in(backend)
        path.write_text(changed[change])
        with pytest.raises(InputError, match=r"activities.csv: the first 51 lines are not those .*start over"):
            load(backend, Source(path), resume=True)
        assert stored_in(backend) == before


def test_a_file_that_was_repaired_goes_on_with_the_row_that_was_wrong(
    backend: Backend, path: Path, undisturbed: Stored
) -> None:
    path.write_text("".join([*LINES[:45], LINES[45].replace("+00:00", "", 1), *LINES[46:]]))
    with pytest.raises(InputError, match=r"activities.csv:46: the time .* has no offset"):
        load(backend, Source(path))
    path.write_text(TEXT)
    summary = load(backend, Source(path), resume=True)
    assert (summary.resumed_rows, summary.rows) == (44, 56)
    settle(backend, MAX_LENGTH)
    assert stored_in(backend) == undisturbed


def test_a_run_that_stopped_at_a_wrong_row_may_pass_over_it(path: Path) -> None:
    path.write_text("".join([*LINES[:45], "cut in the middle\n", *LINES[45:]]))
    with connect("memory://") as backend:
        with pytest.raises(InputError, match=r"activities.csv:46: the row has too few fields"):
            load(backend, Source(path))
        loader = new_loader(backend, FOLLOWS, max_length=MAX_LENGTH, problems=Problems("skip"))
        summary = loader.load(Source(path), resume=True)
        assert (summary.resumed_rows, summary.rows, summary.skipped) == (44, 56, 1)
        (checkpoint,) = Checkpoints(backend)
    assert (checkpoint.rows, checkpoint.skipped, checkpoint.finished) == (100, 1, True)


def test_skipped_rows_are_counted_over_all_runs(path: Path) -> None:
    wrong = "cut in the middle\n"
    path.write_text("".join([LINES[0], wrong, *LINES[1:30], wrong, *LINES[30:], wrong]))
    with connect("memory://") as backend:
        problems = Problems("skip")
        loader = new_loader(backend, FOLLOWS, chunk_rows=10, problems=problems, progress=BreakingOff(4))
        with pytest.raises(BrokenOff):
            loader.load(Source(path))
        (checkpoint,) = Checkpoints(backend)
        assert (checkpoint.rows, checkpoint.skipped) == (40, 2)
        resumed = new_loader(backend, FOLLOWS, chunk_rows=10, problems=Problems("skip")).load(Source(path), resume=True)
        assert (resumed.rows, resumed.skipped) == (60, 1)
        (checkpoint,) = Checkpoints(backend)
        assert (checkpoint.rows, checkpoint.skipped) == (100, 3)


def test_a_long_stretch_of_wrong_rows_is_checkpointed_too(path: Path) -> None:
    path.write_text("".join([LINES[0], *["wrong\n"] * 95, *LINES[1:]]))
    with connect("memory://") as backend:
        loader = new_loader(backend, FOLLOWS, chunk_rows=10, problems=Problems("skip"), progress=BreakingOff(9))
        with pytest.raises(BrokenOff):
            loader.load(Source(path))
        (checkpoint,) = Checkpoints(backend)
        assert (checkpoint.rows, checkpoint.skipped, checkpoint.position.line) == (0, 90, 91)
        resumed = new_loader(backend, FOLLOWS, chunk_rows=10, problems=Problems("skip")).load(Source(path), resume=True)
        assert (resumed.rows, resumed.skipped) == (100, 5)


def test_a_gzip_that_was_cut_goes_on_when_it_is_whole(path: Path, undisturbed: Stored) -> None:
    data = compressed(TEXT)
    path.write_bytes(data[: len(data) // 2])
    with connect("memory://") as backend:
        loader = new_loader(backend, FOLLOWS, max_length=MAX_LENGTH, chunk_rows=10)
        with pytest.raises(InputError, match="the gzip file ends early"):
            loader.load(Source(path))
        assert 0 < loader.summary.rows < 100
        path.write_bytes(data)
        assert load(backend, Source(path), resume=True).resumed_rows == loader.summary.rows
        assert stored_in(backend) == undisturbed


def test_follows_must_not_be_forgotten(path: Path) -> None:
    with connect("memory://") as backend:
        break_off(backend, Source(path), 5)
        with pytest.raises(InvalidValueError, match="began with followers in memory; resume it with the same"):
            new_loader(backend).load(Source(path), resume=True)
    with connect("memory://") as backend:
        new_loader(backend).load(Source(path))
        with pytest.raises(InvalidValueError, match="began with the stored follow graph; resume it with the same"):
            load(backend, Source(path), resume=True)


def test_each_file_has_its_own_checkpoint(backend: Backend, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.csv", "two.csv")]
    for path, lines in zip(paths, (LINES[:41], [LINES[0], *LINES[41:]]), strict=True):
        path.write_text("".join(lines))
        load(backend, Source(path))
    found = Checkpoints(backend).find(str(paths[1]))
    assert found is not None
    assert (found.source, found.rows, found.finished) == (str(paths[1]), 60, True)
    assert Checkpoints(backend).find(str(tmp_path / "three.csv")) is None
    assert len(list(Checkpoints(backend))) == 2


def test_a_path_may_be_of_any_bytes_and_length(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["long" * 50] * 8)
    folder.mkdir(parents=True)
    path = folder / "caf\udce9.csv"
    path.write_text(TEXT)
    with connect("memory://") as backend:
        break_off(backend, Source(path), 5)
        assert load(backend, Source(path), resume=True).rows == 50
        (checkpoint,) = Checkpoints(backend)
        assert checkpoint.source.endswith("caf\ufffd.csv")


def test_a_checkpoint_of_another_format_is_refused() -> None:
    with connect("memory://") as backend:
        checkpoints = Checkpoints(backend)
        checkpoints.save(Checkpoint("-", InputPosition(1, 2, b"3")))
        items = backend.kv_storage("ingest")
        ((key, value),) = items.items()
        items.upsert(key, value | {"version": 3})
        with pytest.raises(StoredDataError, match="a newer one may have written it"):
            load(backend, source(TEXT), resume=True)


def test_a_checkpoint_comes_back_as_it_was() -> None:
    checkpoint = Checkpoint("/feeds/a.csv", InputPosition(11, 1234, b"\0\xff"), 10, 33, 1, True, False)
    with connect("memory://") as backend:
        Checkpoints(backend).save(checkpoint)
        assert Checkpoints(backend).find("/feeds/a.csv") == checkpoint


def test_a_checkpoint_names_no_store(tmp_path: Path, path: Path) -> None:
    with connect(f"sqlite:///{tmp_path}/secret-password.db") as backend:
        load(backend, Source(path))
        values = list(backend.kv_storage("ingest").fetch_all())
    assert "secret-password" not in str(values)
    assert set(values[0]) == {
        "version", "source", "position", "rows", "deliveries", "skipped", "has_follows", "finished",
    }  # fmt: skip
