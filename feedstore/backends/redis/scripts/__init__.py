"""The Lua scripts, which run inside the server."""

from __future__ import annotations

from hashlib import sha1
from importlib.resources import files


class Script:
    """A script and the hash that the server knows it by. Some scripts begin with files that several share."""

    def __init__(self, *names: str) -> None:
        folder = files(__name__)
        self.name = names[-1]
        self.source = "\n".join(folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()


WRITE = Script(
    "marker",
    "records",
    "late",
    "endings",
    "writing",
    "tops",
    "quick",
    "sharing",
    "index",
    "timelines",
    "strings",
    "chunks",
    "payloads",
    "states",
    "single",
    "fan_out",
    "share",
    "items",
    "write",
)
READ = Script("newest", "records", "index", "timelines", "reading")
FETCH = Script("fetch")
SCAN = Script("scan")
NAMESPACE = Script("namespace")
PUSH = Script("marker", "push")
RECEIVE = Script("receive")
ACK = Script("ack")
_ALL = (WRITE, READ, FETCH, SCAN, NAMESPACE, PUSH, RECEIVE, ACK)
SCRIPTS = {script.sha: script for script in _ALL}
