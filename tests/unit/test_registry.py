"""URL schemes and their backends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import feedstore
from feedstore import connect
from feedstore.backends.memory import MemoryBackend
from feedstore.errors import InvalidTypeError, InvalidValueError, UnknownSchemeError
from feedstore.metrics import Metrics
from feedstore.registry import known_schemes, load_backend, scheme_of

PLUGIN = '''
"""A backend of another package."""

from feedstore.backends.memory import MemoryBackend


class PluggedBackend(MemoryBackend):
    @classmethod
    def from_url(cls, url, **options):
        backend = cls(**options)
        backend.url = url
        return backend


class ImpostorBackend(MemoryBackend):
    pass


'''
ENTRY_POINTS = """
[feedstore.backends]
plugged = plugged_backend:PluggedBackend
memory = plugged_backend:ImpostorBackend
broken = no_such_module_anywhere:Backend
"""


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with entry points, as pip would have put it on the path."""
    (tmp_path / "plugged_backend.py").write_text(PLUGIN, encoding="utf-8")
    metadata = tmp_path / "plugged_backend-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-backend\nVersion: 1.0\n", "utf-8")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plugged_backend", raising=False)


@pytest.mark.parametrize("url", ["memory://", "MEMORY://", "Memory://"])
def test_the_scheme_chooses(url: str) -> None:
    with connect(url) as backend:
        assert type(backend) is MemoryBackend
        assert backend.namespace == "default"


def test_options_reach_the_backend() -> None:
    metrics = Metrics()
    with connect("memory://", namespace="app", metrics=metrics) as backend:
        assert backend.namespace == "app"
        assert backend.metrics is metrics


def test_two_stores_in_memory_share_nothing() -> None:
    with connect("memory://") as one, connect("memory://") as other:
        one.timeline_storage().add("key", 1)
        assert other.timeline_storage().count("key") == 0


@pytest.mark.parametrize("url", ["memory://", "sqlite:///never-opened.db", "postgresql://zoe@localhost:1/none"])
def test_an_unknown_option_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidTypeError, match="colour"):
        connect(url, colour="red")


def test_a_namespace_is_checked_at_once() -> None:
    with pytest.raises(InvalidValueError, match="namespace"):
        connect("memory://", namespace="a b")


@pytest.mark.parametrize("url", ["memory://host", "memory:///path", "memory://?namespace=app"])
def test_a_store_in_memory_has_no_address(url: str) -> None:
    with pytest.raises(InvalidValueError, match="memory://"):
        connect(url)


def test_an_unknown_scheme_lists_the_known_ones_and_no_secret() -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        connect("nosql://user:secret@host/database")
    message = str(caught.value)
    assert "nosql://" in message
    for scheme in known_schemes():
        assert scheme in message
    assert "secret" not in message
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("url", ["", "memory", "://", "user:secret@host", "/path/to/file.db", "memory:"])
def test_what_is_no_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidValueError, match="scheme") as caught:
        connect(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", [None, 7, b"memory://", Path("memory://")])
def test_what_is_no_text_is_refused(url: Any) -> None:
    with pytest.raises(InvalidTypeError, match="URL"):
        connect(url)


def test_the_scheme_of_a_url() -> None:
    assert scheme_of("Redis+Cluster://host") == "redis+cluster"
    assert scheme_of("a_b://") == "a_b"


def test_the_known_schemes_are_sorted_and_can_be_loaded() -> None:
    schemes = known_schemes()
    assert schemes == sorted(set(schemes))
    assert {"memory", "sqlite", "postgresql", "postgres"} <= set(schemes)
    assert load_backend("postgres") is load_backend("postgresql") is load_backend("sqlite")


@pytest.mark.usefixtures("plugged")
def test_an_installed_package_adds_a_scheme() -> None:
    assert {"plugged", "broken"} <= set(known_schemes())
    backend: Any = connect("plugged://user:secret@host/path", namespace="app")
    assert type(backend).__name__ == "PluggedBackend"
    assert backend.url == "plugged://user:secret@host/path"
    assert backend.timeline_storage().add("key", 1) == 1
    backend.close()


@pytest.mark.usefixtures("plugged")
def test_a_built_in_scheme_cannot_be_taken_over() -> None:
    with connect("memory://") as backend:
        assert type(backend) is MemoryBackend


@pytest.mark.usefixtures("plugged")
def test_a_plugin_is_imported_when_it_is_asked_for() -> None:
    known_schemes()
    connect("memory://").close()
    assert "plugged_backend" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        connect("broken://")


def test_importing_opens_nothing_and_loads_no_backend() -> None:
    script = (
        "import sys, threading, feedstore\n"
        "assert not [name for name in sys.modules if name.startswith('feedstore.backends')], sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('feedstore.storage.documents')], sys.modules\n"
        "assert threading.active_count() == 1\n"
        "feedstore.connect('memory://')\n"
        "assert 'feedstore.storage.documents' not in sys.modules\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'sqlalchemy', 'sqlite3', 'psycopg', 'alembic', 'pytest', 'hypothesis'}, loaded\n"
        "import feedstore.backends.sql\n"
        "assert not {'sqlalchemy.dialects.postgresql', 'sqlalchemy.orm'} & set(sys.modules), sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_face() -> None:
    assert set(feedstore.__all__) == {
        "Activity",
        "ActivityRef",
        "FeedstoreError",
        "Verb",
        "VerbRegistry",
        "__version__",
        "connect",
    }
    assert all(hasattr(feedstore, name) for name in feedstore.__all__)
