"""Commands: one request to one slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from feedstore.backends.redis.scripts import Script

_EVALSHA = "EVALSHA"


class Command(NamedTuple):
    """A command: the hash tag of its keys, its words, and whether it writes."""

    tag: str
    words: tuple[Any, ...]
    writes: bool = False

    @property
    def sha(self) -> str | None:
        """The hash of the script that the command runs, or None for a plain command."""
        return self.words[1] if self.words[0] == _EVALSHA else None


def call_script(
    tag: str, script: Script, keys: Sequence[str], arguments: Sequence[Any], writes: bool = False
) -> Command:
    """Return the command that runs a script."""
    return Command(tag, (_EVALSHA, script.sha, len(keys), *keys, *arguments), writes)
