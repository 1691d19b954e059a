"""The Django page's site serves timelines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from docs.pages import DOCS

# Django's settings are one for each process, so the site gets a process of its own.
VISIT = """
import django
from django.test import Client

django.setup()
client = Client()
assert client.post("/users/ann/follow", {"reader": "bob"}).status_code == 204
assert client.post("/users/ann/follow", {"reader": "bob"}).status_code == 204
assert client.post("/users/anna/follow", {"reader": "eve"}).status_code == 204
ids = [client.post(f"/photos/{number}/like", {"reader": "ann"}).json()["id"] for number in range(30)]

first = client.get("/timelines/bob").json()
assert [item["id"] for item in first["items"]] == ids[:4:-1], first
assert first["items"][0]["actor"] == "ann"
assert not first["complete"]
second = client.get("/timelines/bob", {"cursor": first["next"]}).json()
assert [item["id"] for item in second["items"]] == ids[4::-1]
assert (second["next"], second["complete"]) == (None, True)

assert client.get("/timelines/eve").json() == {"items": [], "next": None, "complete": True}
refused = client.get("/timelines/bob", {"cursor": "x" * 32})
assert (refused.status_code, b"cursor" in refused.content) == (400, True)
print("visited")

from django_site import feeds

feeds.backend().close()
"""


def test_the_site_serves_timelines(tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(DOCS / "examples"), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "DJANGO_SETTINGS_MODULE": "django_site.settings",
        "FEEDSTORE_URL": "sqlite:///feeds.db",
    }
    visit = subprocess.run(
        [sys.executable, "-W", "error", "-c", VISIT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (visit.returncode, visit.stdout) == (0, "visited\n"), visit.stderr
