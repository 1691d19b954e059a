"""Every example in the documentation runs, and prints the shown output."""

from __future__ import annotations

import configparser
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import command_server
from docs.pages import DOCS, ROOT, blocks, name_of, pages
from docs.running import DOCUMENTED_DATABASE, Reader, shell_commands
from feedstore import errors

RUN = {"python", "pycon", "console", "sql"}
# Shown, not run: installations, configurations, and the output of programs.
SHOWN = {"sh", "text", "toml"}
LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
API = "\n".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.joinpath("api").glob("*.md")))
MORE_THAN_A_PIPE_HOLDS = 1 << 17
HEADING = re.compile(r"^(#{1,3}) (?P<text>.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def feedstore_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An executable file that runs a command in a fork of one process."""
    with command_server.serving(tmp_path_factory.mktemp("command")) as command:
        yield command


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_the_examples_of_a_page_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    feedstore_command: Path,
) -> None:
    to_run = list(blocks(page))
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    replacements = {}
    if any(DOCUMENTED_DATABASE in block.text for block in to_run):
        replacements[DOCUMENTED_DATABASE] = request.getfixturevalue("postgresql_database")
    reader = Reader(page, folder, replacements, feedstore_command)
    for block in to_run:
        reader.follow(block)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_block_is_run_or_has_a_reason_not_to_be(page: Path) -> None:
    for block in blocks(page):
        where = f"{name_of(page)}:{block.line}"
        assert block.language in RUN | SHOWN or block.language.startswith("{"), f"{where}: {block.language!r}"
        if block.language == "sh":
            assert not re.search(r"^\$? ?feedstore ", block.text, re.MULTILINE), f"{where}: make it a console block"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        where = f"{name_of(page)}: {link[0]}"
        assert target.exists(), where
        if link["anchor"] and target.suffix == ".md":
            assert link["anchor"] in anchors(target), where


def test_every_page_is_reached_from_the_index() -> None:
    listed = {
        line.strip()
        for page in (DOCS / "index.md", DOCS / "api" / "index.md")
        for block in blocks(page)
        if block.language == "{toctree}"
        for line in block.text.splitlines()
        if line.strip() and not line.startswith(":")
    }
    reached = {name.split("/")[-1] for name in listed} | {"index"}
    assert {page.stem for page in pages() if DOCS in page.parents} <= reached


def test_the_readme_links_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {page.name for page in DOCS.glob("*.md")} - {"index.md", "changelog.md"}
    assert {link["path"] for link in LINK.finditer(text)} >= {f"docs/{name}" for name in listed}


def test_the_readme_lists_every_extra_for_users() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"^\| `pip install .*", text, re.MULTILINE))
    # Only the project itself builds its documentation.
    assert set(re.findall(r"(?:feedstore|`)\[(\w+)\]", rows)) == set(setup["options.extras_require"]) - {"docs"}


def test_the_api_pages_have_every_public_name() -> None:
    """The directive ``automodule`` lists all names of a module, other directives list one name each."""
    modules = set(re.findall(r"py:module:: ([\w.]+)|automodule:: ([\w.]+)\n   :no-members:", API))
    names = {
        f"{module}.{name}"
        for module in map("".join, modules)
        # The pages on migration list the names of other libraries.
        if not module.startswith("feedstore.compat")
        for name in getattr(importlib.import_module(module), "__all__", ())
        if name not in vars(errors)
    }
    assert "feedstore.testing.EventStoreSuite" in names
    assert {name for name in names if not re.search(rf":: {re.escape(name)}$", API, re.MULTILINE)} == set()


def test_a_wrong_output_is_seen(tmp_path: Path) -> None:
    page = DOCS / "wrong.md"
    reader = Reader(page, tmp_path, {}, tmp_path / "feedstore")
    with pytest.raises(AssertionError, match="Expected"):
        reader._talk_to_python(">>> 1 + 1\n3\n", 1)
    with pytest.raises(AssertionError, match="expected"):
        reader._type("echo one", "two\n", 1)
    with pytest.raises(AssertionError, match="wrong"):
        reader._type("exit 3", "", 1)
    reader._type("echo $?", "3\n", 1)


def test_a_command_runs_while_another_one_waits_for_input(tmp_path: Path, feedstore_command: Path) -> None:
    command, store = str(feedstore_command), f"sqlite:///{tmp_path / 'feeds.db'}"
    reading = [command, "ingest", "-", "--store", store, "--progress", "none"]
    with subprocess.Popen(reading, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        reader.stdin.write(b"id,time,actor,verb,object\n")
        # The pipe does not hold all of them, so the command reads when the call returns.
        reader.stdin.write(b"\n" * MORE_THAN_A_PIPE_HOLDS)
        reader.stdin.flush()
        subprocess.run([command, "--version"], check=True, timeout=60, stdout=subprocess.DEVNULL)
        assert reader.poll() is None
        reader.stdin.close()
        assert reader.wait(60) == 0


def test_console_blocks_are_read_line_by_line() -> None:
    text = "$ feedstore stats \\\n    --json\n{}\n$ ls\n"
    assert shell_commands(text) == [("feedstore stats --json", "{}\n"), ("ls", "")]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as MyST and GitHub make them."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        text = text.replace(block.text, "")
    words = (re.sub(r"[^\w\- ]", "", heading["text"].lower()) for heading in HEADING.finditer(text))
    return {word.strip().replace(" ", "-") for word in words}
