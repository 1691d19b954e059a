"""Inputs: files and standard input, plain and compressed, whole and damaged."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from feedstore.errors import InputError, InvalidTypeError
from feedstore.ingest import Problems, Source
from ingest.inputs import GOOD_ROW, HEADER, compressed, csv_text, read, source

TEXT = HEADER + GOOD_ROW
MANY = csv_text([(n, "2026-01-31T08:39:59Z", "ann", "like", f"photo:{n * 7919 % 10007}", "", "") for n in range(5000)])


def lines_of(given: Source) -> list[str]:
    with given.open() as lines:
        found = []
        for line in lines:
            lines.accept()
            found.append(line)
        return found


@pytest.mark.parametrize("name", ["activities.csv", "activities.csv.gz", "activities", "feed.csv;x"])
@pytest.mark.parametrize("data", [TEXT.encode(), compressed(TEXT)], ids=["plain", "gzip"])
def test_compression_is_told_by_what_a_file_holds(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    given = Source(path)
    assert "".join(lines_of(given)) == TEXT
    assert given.size == len(data) == given.bytes_read


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f", TEXT.encode()])
def test_inputs_shorter_than_the_marks_that_are_looked_for(data: bytes) -> None:
    assert "".join(lines_of(source(data))) == data.decode()


def test_gzip_of_several_members_is_read_to_the_end() -> None:
    assert len(read(compressed(TEXT) + compressed(GOOD_ROW) + compressed(""))) == 2


def test_standard_input_may_be_a_pipe_that_fills_slowly() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            pipe.writelines(bytes([byte]) for byte in compressed(TEXT))

    writer = threading.Thread(target=write)
    writer.start()
    with open(reading, "rb") as pipe:
        given = Source("-", pipe)
        assert "".join(lines_of(given)) == TEXT
    writer.join()
    assert (given.name, given.identity, given.size) == ("<stdin>", "-", None)


def test_a_file_is_known_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Source("feed.csv").identity == str(tmp_path / "feed.csv")
    assert Source("feed.csv").name == "feed.csv"


@pytest.mark.parametrize("path", ["missing.csv", "."])
def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"the file cannot be read: (No such file|Is a directory)") as caught:
        lines_of(Source(path))
    assert caught.value.path == path


def test_a_source_is_a_path() -> None:
    with pytest.raises(InvalidTypeError, match="a source is a path"):
        Source(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("skip", [False, True])
def test_a_gzip_that_ends_early_is_refused_where_it_ends(skip: bool) -> None:
    data = compressed(MANY)
    problems = Problems("skip" if skip else "stop")
    with pytest.raises(InputError, match="the gzip file ends early; it was cut") as caught:
        read(data[: len(data) // 2], problems)
    assert caught.value.line is not None
    assert 100 < caught.value.line < 5000
    assert problems.count == 0


def test_a_gzip_that_is_damaged_is_refused() -> None:
    data = bytearray(compressed(MANY))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InputError, match="the gzip file is damaged"):
        read(bytes(data), Problems("skip"))


def test_what_stands_behind_a_gzip_is_refused() -> None:
    with pytest.raises(InputError, match="the gzip file is damaged: Not a gzipped file"):
        read(compressed(TEXT) + b"and more")


def test_a_disk_that_fails_is_named() -> None:
    class Failing(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1000:
                raise OSError(5, "Input/output error")
            return super().read1(500)

    with pytest.raises(InputError, match=r"^<stdin>:\d+: the file cannot be read any further: Input/output error"):
        lines_of(Source("-", Failing(MANY.encode())))
