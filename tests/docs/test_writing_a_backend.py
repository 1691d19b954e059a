"""The example of "Writing a backend" keeps the contract, and is registered as the page shows."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
import test_dict_backend

import soak
from docs.pages import DOCS, blocks
from feedstore import Activity, connect
from feedstore.errors import UnknownSchemeError
from feedstore.registry import ENTRY_POINT_GROUP, known_schemes
from feedstore.testing import ArgumentContract
from feedstore.testing.batch_suite import AtomicBatchSuite
from feedstore.testing.kv_condition_suite import KvConditionSuite
from feedstore.testing.timeline_add_suite import TimelineAddSuite, TimelineRemoveSuite


class TestDictBackend(ArgumentContract, TimelineAddSuite, TimelineRemoveSuite, KvConditionSuite, AtomicBatchSuite):
    """Where hooks count and commit exactly; tests/conformance runs the other suites on the modest backend, which
    inherits these hooks.
    """

    open_backend = test_dict_backend.TestDictBackend.open_backend


if soak.SOAK:

    @pytest.mark.soak
    class TestTheWholeContract(test_dict_backend.TestDictBackend):
        """The file of the page as it is, with the oracle."""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point of the page on the path, as pip would have put it there."""
    (shown,) = (block for block in blocks(DOCS / "writing-a-backend.md") if block.language == "toml")
    parser = configparser.ConfigParser()
    parser.read_string(shown.text)
    entries = parser[f'project.entry-points."{ENTRY_POINT_GROUP}"']
    lines = [f"[{ENTRY_POINT_GROUP}]", *(f"{name} = {value.strip(chr(34))}" for name, value in entries.items())]
    package = tmp_path / "dict_backend-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: dict-backend\nVersion: 1.0\n", encoding="utf-8")
    (package / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_connect_finds_it() -> None:
    assert "dict" in known_schemes()
    like = Activity("ann", "like", "photo:7")
    with connect("dict://", namespace="app") as backend:
        assert backend.timeline_storage().add("feed:bob", like) == 1
        assert backend.timeline_storage().get_slice("feed:bob", 0, 25) == [like.reference]


@pytest.mark.usefixtures("installed")
def test_it_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="pool_size"):
        connect("dict://", pool_size=3)
    with pytest.raises(ValueError, match="dict://"):
        connect("dict://host")


def test_it_is_unknown_where_it_is_not_installed() -> None:
    with pytest.raises(UnknownSchemeError, match="memory"):
        connect("dict://")
