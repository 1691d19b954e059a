"""Changing the text of the Redis scripts in a test."""

from __future__ import annotations

from hashlib import sha1

import pytest

from feedstore.backends.redis.scripts import READ, SCRIPTS, WRITE


def rewrite(monkeypatch: pytest.MonkeyPatch, changes: list[tuple[str, str]]) -> None:
    """Replace parts of the scripts that read and write timelines."""
    for script in (WRITE, READ):
        source = script.source
        for before, after in changes:
            source = source.replace(before, after)
        monkeypatch.setattr(script, "source", source)
        monkeypatch.setattr(script, "sha", sha1(source.encode(), usedforsecurity=False).hexdigest())
        monkeypatch.setitem(SCRIPTS, script.sha, script)
