"""What the project's files never name: the machine that they were written on, and where packages come from."""

from __future__ import annotations

import re

from house import tree

# Written in parts, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.$}-])/(?:work|root|home)/\w|\.py" + r"env\b")
REGISTRY_HOSTS = re.compile(
    r"py" + r"pi\.org|python" + r"hosted|maven" + r"\.(?:apache|org)|deb\.deb" + r"ian|npm" + r"js\.(?:org|com)",
    re.IGNORECASE,
)
# Real data quotes what people wrote.
DATA = tree.ROOT / "examples" / "data"


def test_no_path_of_a_machine_stands_in_the_tree() -> None:
    assert _lines_with(MACHINE_PATHS) == []


def test_no_registry_is_named() -> None:
    assert _lines_with(REGISTRY_HOSTS) == []


def test_the_checkout_s_own_path_stands_nowhere() -> None:
    assert _lines_with(re.compile(re.escape(f"{tree.ROOT}/"))) == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATHS.search("see /" + "work/main")
    assert MACHINE_PATHS.search("~/.py" + "env/versions")
    assert not MACHINE_PATHS.search("docs/home/page and framework/main")
    assert REGISTRY_HOSTS.search("https://py" + "pi.org/simple")
    assert not REGISTRY_HOSTS.search("pip installs it from PyPI")


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    found: list[str] = []
    for path in tree.files():
        if DATA in path.parents:
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(tree.ROOT)
        found.extend(f"{name}:{number}: {line}" for number, line in enumerate(lines, 1) if pattern.search(line))
    return found
