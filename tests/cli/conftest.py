"""A store that commands are run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.running import CommandLine
from ingest.inputs import FOLLOWS_HEADER, csv_text

ROWS = [
    (1, "2026-05-01T12:00:00Z", "ann", "like", "photo:7", "", ""),
    (2, "2026-05-01T12:05:00.25Z", "cem", "comment", "photo:7", "album:1", '{"text":"naïve ☃"}'),
    (3, "2026-05-01T14:10:00+02:00", "ann", "follow", "cem", "", ""),
]
FOLLOWS = FOLLOWS_HEADER + "bob,ann,\neve,ann,\nbob,cem,\nann,zoe,\n"


@pytest.fixture
def feedstore(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line."""
    return CommandLine(capsys)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an input and its follows, and FEEDSTORE_URL naming a store in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEEDSTORE_URL", f"sqlite:///{tmp_path / 'feeds.db'}")
    (tmp_path / "activities.csv").write_text(csv_text(ROWS))
    (tmp_path / "follows.csv").write_text(FOLLOWS)
    return tmp_path


@pytest.fixture
def filled(folder: Path, feedstore: CommandLine) -> Path:
    """The same, with the input ingested."""
    assert feedstore("ingest", "activities.csv", "--follows", "follows.csv").status == 0
    return folder
