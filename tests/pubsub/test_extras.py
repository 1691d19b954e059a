"""The packages of the extras are imported by the services that need them, and by no other module."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
packages = ("httpx", "httpcore", "feedparser", "slixmpp", "defusedxml")
import feedstore.pubsub, feedstore.pubsub.memory_service
assert not set(packages) & set(sys.modules)
from feedstore.errors import MissingDriverError
for package in packages:
    sys.modules[package] = None
for module in ("parsers", "web_requests", "web_documents", "xmpp_service"):
    try:
        __import__(f"feedstore.pubsub.{module}")
    except MissingDriverError as error:
        print(module, error)
"""


def test_a_missing_package_is_named_with_its_extra() -> None:
    printed = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == [
        "parsers reading XML of other parties needs defusedxml: pip install 'feedstore[feeds]'",
        "web_requests web feeds need httpx: pip install 'feedstore[feeds]'",
        "web_documents reading XML of other parties needs defusedxml: pip install 'feedstore[feeds]'",
        "xmpp_service XMPP services need slixmpp: pip install 'feedstore[xmpp]'",
    ]
