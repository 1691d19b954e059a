"""Exports of activities, their ingestion, and their continuation after a kill."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import soak
from feedstore import Activity, connect
from feedstore.errors import FeedstoreError, InputError, InvalidValueError
from feedstore.export import (
    ActivitySource,
    CollectionSource,
    PersonSource,
    TimelineSource,
    export_activities,
    sources,
    write_records,
)
from feedstore.fanout import FeedManager
from feedstore.ingest import Loader, Problems, Source
from feedstore.interchange import to_as2, to_as2_collection
from feedstore.storage import Backend
from ingest.inputs import BreakingOff, BrokenOff
from interchange.drawn import activities

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def posts(count: int, actor: str = "ann") -> list[Activity]:
    return [Activity(actor, "post", number, time=NOON + timedelta(seconds=number)) for number in range(count)]


def filled(given: list[Activity]) -> Backend:
    backend = connect("memory://")
    backend.activity_storage().add_many(given)
    return backend


def stored(backend: Backend) -> list[Activity]:
    return list(backend.activity_storage().iterate())


def exported(source: ActivitySource, **options: Any) -> bytes:
    written = io.BytesIO()
    export_activities(source, written, **options)
    return written.getvalue()


def ingested(data: bytes, **options: Any) -> tuple[Backend, Loader]:
    backend = connect("memory://")
    loader = Loader(FeedManager(backend), **options)
    loader.load(Source("-", io.BytesIO(data)))
    return backend, loader


@settings(max_examples=soak.count(25, 1000))
@given(st.lists(activities, max_size=4))
def test_an_export_comes_back_without_loss(given: list[Activity]) -> None:
    backend = filled(given)
    before = stored(backend)
    for chosen, options in (("ndjson", {}), ("as2", {}), ("as2-collection", {"format": "as2"})):
        data = exported(CollectionSource(backend), format=chosen)
        if before:
            again = stored(ingested(data, **options)[0])
            assert again == before
            assert repr([one.stored_context for one in again]) == repr([one.stored_context for one in before])


def test_csv_keeps_everything_but_the_types_of_names() -> None:
    first = Activity("ann", "like", 'a "photo", 7\r\n', time=NOON, foreign_id="x", extra_context={"raw": b"\xff"})
    second = Activity(1, "like", 2, time=NOON, id=7, foreign_id=3)
    data = exported(CollectionSource(filled([first, second])), format="csv")
    found = ingested(data)[0].activity_storage()
    assert found.get(first) == first
    assert found.get(7) == Activity("1", "like", "2", time=NOON, id=7, foreign_id="3")
    nul = Activity("ann", "like", "a\0b", time=NOON)
    with pytest.raises(InvalidValueError, match="a NUL character"):
        exported(CollectionSource(filled([nul])), format="csv")


def test_a_timeline_and_a_person_are_exported_apart() -> None:
    ann, bob = posts(3), posts(2, "bob")
    about = Activity("cem", "greet", "ann", time=NOON)
    backend = filled([*ann, *bob, about])
    backend.timeline_storage().add_many("home:eve", [ann[0], bob[1]])
    backend.activity_storage().remove(bob[0])
    assert stored(ingested(exported(TimelineSource(backend, "home:eve")))[0]) == [ann[0], bob[1]]
    assert len(stored(ingested(exported(PersonSource(backend, "ann")))[0])) == 4
    assert stored(ingested(exported(PersonSource(backend, "ann", ["object"])))[0]) == [about]
    with pytest.raises(InvalidValueError, match="at least one of actor, object, target"):
        PersonSource(backend, "ann", ["owner"])


class DyingSource(CollectionSource):
    """A source that fails after some chunks."""

    def __init__(self, backend: Backend, chunks: int) -> None:
        super().__init__(backend)
        self._most = chunks

    def chunks(self, after: str | None = None) -> Iterator[sources.SourceChunk]:
        for number, chunk in enumerate(super().chunks(after)):
            if number == self._most:
                raise KeyboardInterrupt
            yield chunk


@pytest.mark.parametrize(
    ("format", "name"), [("ndjson", "a.ndjson.gz"), ("as2-collection", "a.json"), ("csv", "a.csv")]
)
def test_a_killed_export_continues(format: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_AT_ONCE", 3)
    backend, path = filled(posts(10)), tmp_path / name
    for chunks in (0, 2, 1):
        with pytest.raises(KeyboardInterrupt):
            export_activities(DyingSource(backend, chunks), path, format=format, resume=True)
        with path.open("ab") as file:
            # A killed process leaves a part that it has written, and not recorded.
            file.write(b"half a row")
    summary = export_activities(CollectionSource(backend), path, format=format, resume=True)
    assert (summary.rows, summary.resumed_rows, summary.bytes) == (10, 9, path.stat().st_size)
    data = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    assert data == exported(CollectionSource(backend), format=format)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_killed_export_of_a_timeline_continues_after_its_last_part(tmp_path: Path) -> None:
    backend, path = filled(posts(4)), tmp_path / "a.ndjson"
    backend.timeline_storage().add_many("home:eve", posts(4))
    export_activities(TimelineSource(backend, "home:eve"), path)
    whole = path.read_bytes()
    state = {"bytes": len(whole), "rows": 4, "skipped": 0, "position": "end"}
    identity = {"format": "ndjson", "base": None, "types": {}, **TimelineSource(backend, "home:eve").identity}
    checkpoint = tmp_path / "a.ndjson.checkpoint"
    checkpoint.write_text(json.dumps({"version": 1, "identity": identity, "state": state}))
    assert export_activities(TimelineSource(backend, "home:eve"), path, resume=True).rows == 4
    assert path.read_bytes() == whole
    checkpoint.write_text(json.dumps({"version": 1, "identity": identity, "state": {**state, "bytes": 10**6}}))
    with pytest.raises(InputError, match="shorter than its checkpoint says"):
        export_activities(TimelineSource(backend, "home:eve"), path, resume=True)
    with pytest.raises(InvalidValueError, match="began with other arguments"):
        export_activities(CollectionSource(backend), path, resume=True)
    checkpoint.write_text("{")
    with pytest.raises(InputError, match="checkpoint cannot be read"):
        export_activities(CollectionSource(backend), path, resume=True)


def test_files_are_replaced_only_with_overwrite(tmp_path: Path) -> None:
    backend, path = filled(posts(1)), tmp_path / "a.ndjson"
    path.write_text("mine")
    for resume in (False, True):
        with pytest.raises(InvalidValueError, match="exists"):
            export_activities(CollectionSource(backend), path, resume=resume)
    assert export_activities(CollectionSource(backend), path, overwrite=True).rows == 1
    for name, reason in (("a.ndjson.zst", "zstd is not supported"), ("a.xz", "xz is not supported")):
        with pytest.raises(InvalidValueError, match=reason):
            export_activities(CollectionSource(backend), tmp_path / name)
    with pytest.raises(InvalidValueError, match="an open file cannot be resumed"):
        export_activities(CollectionSource(backend), io.BytesIO(), resume=True)
    with pytest.raises(InvalidValueError, match="is no format"):
        export_activities(CollectionSource(backend), io.BytesIO(), format="xml")
    assert write_records([{"record": "mark", "at": NOON}], tmp_path / "r.ndjson") == 1
    assert json.loads((tmp_path / "r.ndjson").read_text()) == {"record": "mark", "at": NOON.isoformat()}


def test_an_activity_without_a_form_is_named_or_skipped() -> None:
    like = Activity("ann", "like", "photo:7", time=NOON)
    broken = Activity("ann", "like", time=NOON, id=7, extra_context={"as2": {"type": 7}})
    backend = filled([broken, like])
    with pytest.raises(InvalidValueError, match="the activity 00000000-0000-0000-0000-000000000007 cannot be written"):
        exported(CollectionSource(backend), format="as2")
    errors: list[FeedstoreError] = []
    written = io.BytesIO()
    summary = export_activities(CollectionSource(backend), written, format="as2-collection", on_error=errors.append)
    assert (summary.rows, summary.skipped, len(errors)) == (1, 1, 1)
    assert stored(ingested(written.getvalue(), format="as2")[0]) == [like]


def test_documents_of_other_systems_are_ingested() -> None:
    like = to_as2(posts(1)[0], base="https://social.example/")
    note = {"type": "Note", "content": "no activity"}
    collection = {**to_as2_collection([], "https://social.example/outbox"), "orderedItems": [like, note, like]}
    for text in (json.dumps(collection), json.dumps(collection, indent=2), f"{json.dumps(like)}\n\n{json.dumps(note)}"):
        problems = Problems("skip")
        backend, loader = ingested(
            text.encode(), format="as2", base="https://social.example/", problems=problems, chunk_rows=1
        )
        assert stored(backend) == posts(1)
        assert [error.reason[:5] for error in problems.first] == ["type:"]
        assert backend.timeline_storage().count("user:ann") == loader.summary.activities == 1
    for data, reason in ((b'{"type": "Like"', "JSON"), (b'{"type": "L\xff"}\n{', "is not UTF-8")):
        with pytest.raises(InputError, match=reason):
            ingested(data, format="as2")


@pytest.mark.parametrize("chunks", [1, 2, 3])
@pytest.mark.parametrize("name", ["outbox.json", "a.ndjson", "a.csv"])
def test_an_ingestion_of_an_export_resumes(name: str, chunks: int, tmp_path: Path) -> None:
    given, path, backend = posts(5), tmp_path / name, connect("memory://")
    if name == "outbox.json":
        path.write_text(json.dumps(to_as2_collection(given, "https://social.example/outbox"), indent=1))
    else:
        export_activities(CollectionSource(filled(given)), path, format=name.partition(".")[2])
    with pytest.raises(BrokenOff):
        Loader(FeedManager(backend), chunk_rows=2, progress=BreakingOff(chunks)).load(Source(path))
    loader = Loader(FeedManager(backend))
    loader.load(Source(path), resume=True)
    # A document is read again until all of its activities are stored.
    expected = (5 if chunks < 3 else 0) if name == "outbox.json" else max(5 - 2 * chunks, 0)
    assert (loader.summary.rows, {one.id for one in stored(backend)}) == (expected, {one.id for one in given})


def test_a_document_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedstore.ingest.documents.MAX_DOCUMENT_BYTES", 50)
    with pytest.raises(InputError, match="longer than 50 bytes"):
        ingested(b"{\n" + b" " * 60 + b"}", format="as2")
