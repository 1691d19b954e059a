"""Each layer imports only from the layers to its left, and only its own backend imports a driver."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from house import tree

# From left to right; the members of one group may see each other.
LAYERS = (
    {"errors", "forks", "ids", "metrics", "options", "plain_values", "read_only", "shown"},
    {"activity", "activity_fields", "aggregated", "rendering", "verbs"},
    {"serializers"},
    {"storage"},
    {"backends"},
    {"feeds", "events", "channels", "live"},
    {"export", "fanout", "ingest", "interchange", "logs", "privacy", "pubsub", "serve"},
    {"compat"},
    {"cli", "__main__"},
)
# The layers above the contracts name no backend: `registry` loads one by its URL.
KNOW_BACKENDS = {"backends", "compat", "cli", "testing"}
KNOW_REGISTRY = {"", "events", "fanout", "ingest", "cli", "testing"}
REGISTRY_KNOWS = {"errors", "storage"}
FACE_KNOWS = {"errors", "ids", "activity", "aggregated", "verbs", "storage", "registry"}
DRIVERS = {
    "sortedcontainers": "memory",
    "sqlite3": "sql",
    "sqlalchemy": "sql",
    "alembic": "sql",
    "psycopg": "sql",
    "redis": "redis",
    "hiredis": "redis",
    "cassandra": "cassandra",
}
PACKAGE = tree.ROOT / "feedstore"


def test_the_walk_finds_the_package() -> None:
    assert {"errors", "storage", "backends"} <= {layer_of_file(path) for path in package_files()}


def test_every_module_has_its_place() -> None:
    known = set().union(*LAYERS) | {"", "registry", "testing"}
    assert {layer_of_file(path) for path in package_files()} <= known


def test_the_architecture_page_lists_the_same_layers() -> None:
    page = tree.ROOT.joinpath("docs", "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", page, re.MULTILINE)
    listed = [{name.split("/")[0] for name in re.findall(r"`([\w/]+)`", row)} for row in rows]
    present = {layer_of_file(path) for path in package_files()} - {"__main__"}
    assert listed == [group & present for group in LAYERS if group & present]


def test_the_guide_for_contributors_has_the_same_order() -> None:
    guide = tree.ROOT.joinpath("CONTRIBUTING.md").read_text(encoding="utf-8")
    order = re.search(r"only layers to its left: `([^`]+)`", guide)
    assert order is not None
    groups = [re.findall(r"\w+", group) for group in order[1].split("→")]
    assert [{place_of(name) for name in group} for group in groups] == [{place} for place in range(len(LAYERS))]


def test_imports_point_to_the_left() -> None:
    wrong = []
    for path in package_files():
        own = str(path.relative_to(tree.ROOT))
        for line, name in tree.imported_names(path):
            is_allowed = may_see(layer_of_file(path), layer_of_name(name))
            if name.split(".")[0] == "feedstore" and not is_allowed:
                wrong.append(f"{own}:{line} imports {name}")
    assert wrong == []


def test_backends_do_not_see_each_other() -> None:
    wrong = []
    for path in PACKAGE.joinpath("backends").glob("*/**/*.py"):
        own = path.relative_to(PACKAGE).parts[1]
        for line, name in tree.imported_names(path):
            parts = name.split(".")
            # All backends share the modules beside the folders.
            is_folder = PACKAGE.joinpath("backends", *parts[2:3]).is_dir()
            if parts[:2] == ["feedstore", "backends"] and is_folder and parts[2:3] != [own]:
                wrong.append(f"{path.relative_to(tree.ROOT)}:{line} imports {name}")
    assert wrong == []


def test_a_driver_is_imported_by_its_own_backend_alone() -> None:
    wrong = []
    for path in package_files():
        for line, name in tree.imported_names(path):
            backend = DRIVERS.get(name.split(".")[0])
            if backend is not None and path.relative_to(PACKAGE).parts[:2] != ("backends", backend):
                wrong.append(f"{path.relative_to(tree.ROOT)}:{line} imports {name}")
    assert wrong == []


@pytest.mark.parametrize(
    ("seer", "seen", "allowed"),
    [
        ("storage", "serializers", True),
        ("serializers", "storage", False),
        ("activity", "verbs", True),
        ("feeds", "backends", False),
        ("channels", "storage", True),
        ("serve", "live", True),
        ("live", "serve", False),
        ("live", "backends", False),
        ("channels", "backends", False),
        ("storage", "channels", False),
        ("backends", "feeds", False),
        ("ingest", "registry", True),
        ("storage", "registry", False),
        ("registry", "storage", True),
        ("registry", "backends", False),
        ("testing", "backends", True),
        ("cli", "testing", False),
        ("compat", "backends", True),
        ("compat", "channels", True),
        ("channels", "compat", False),
        ("storage", "", False),
    ],
)
def test_the_rule_itself(seer: str, seen: str, allowed: bool) -> None:
    assert may_see(seer, seen) is allowed


def may_see(seer: str, seen: str) -> bool:
    """Whether a module of layer ``seer`` may import from layer ``seen``; the empty name is the package's own face."""
    if seer in (seen, "testing"):
        return True
    if seer == "":
        return seen in FACE_KNOWS
    if seer == "registry":
        return seen in REGISTRY_KNOWS
    if seen in ("", "registry"):
        return seer in KNOW_REGISTRY
    if seen == "testing" or (seen == "backends" and seer not in KNOW_BACKENDS):
        return False
    return place_of(seen) <= place_of(seer)


def place_of(layer: str) -> int:
    """The layer's place, counted from the left."""
    return next(place for place, group in enumerate(LAYERS) if layer in group)


def package_files() -> list[Path]:
    """Every Python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def layer_of_file(path: Path) -> str:
    """The part of the package that a file belongs to; empty for the package's own ``__init__``."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def layer_of_name(name: str) -> str:
    """The part of the package that ``feedstore.…`` is imported from; empty for a name of the package's own face."""
    first = name.split(".")[1] if "." in name else ""
    return first if (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file() else ""
