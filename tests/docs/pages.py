"""The project's Markdown pages, and the fenced blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)(?P<language>\S*) *(?P<argument>.*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words after the language, its content, and the first line of the content."""

    language: str
    argument: str
    text: str
    line: int


def pages() -> list[Path]:
    """Every page for readers."""
    found = sorted(DOCS.rglob("*.md"))
    return [ROOT / "README.md", *(page for page in found if "_build" not in page.parts)]


def name_of(page: Path) -> str:
    """The page's path within the project."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in their order."""
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            continue
        inside: list[str] = []
        for _, text in lines:
            if text.strip() == fence["ticks"]:
                break
            inside.append(text.removeprefix(fence["indent"]))
        else:
            raise ValueError(f"{name_of(page)}:{number}: the block never ends")
        yield Block(fence["language"], fence["argument"], "".join(f"{text}\n" for text in inside), number + 1)
