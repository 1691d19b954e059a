"""The page that shows a timeline, and its asset files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from feedstore.serve.markup import NO_MARKUP, Markup, fill

ASSETS = "/assets"
_FOLDER = Path(__file__).parent / "assets"
STATUS_BAR = Markup("""
<p class="status" role="status" data-state="connecting"><span class="dot" aria-hidden="true"></span>
  <span class="status-text">Connecting</span></p>
""")
"""The bar with the state of the connection."""


def asset_route() -> Mount:
    """Return the route of the page's style, script and icon."""
    return Mount(ASSETS, StaticFiles(directory=_FOLDER), name="assets")


def render_page(
    heading: str,
    subheading: str,
    timeline_url: str,
    events_url: str,
    *,
    controls: Markup = NO_MARKUP,
    root: str = "",
) -> str:
    """Return the page as HTML; it requests pages from ``timeline_url`` and the stream from ``events_url``.

    ``root`` is the path prefix of the application, ``.`` for the folder of this page. ``controls`` is placed above the
    timeline.
    """
    feed = fill(template("feed.html"), controls=controls, timeline_url=timeline_url, events_url=events_url)
    entry = fill(template("entry.html"), assets=root + ASSETS)
    return render_framed(heading, subheading, feed, root, bar=STATUS_BAR, behind=entry)


def render_plain_page(heading: str, subheading: str, content: Markup, root: str = "") -> str:
    """Return a page of the same design without a timeline; ``root`` is as in :func:`render_page`."""
    return render_framed(heading, subheading, content, root)


def render_framed(
    heading: str, subheading: str, content: Markup, root: str, bar: Markup = NO_MARKUP, behind: Markup = NO_MARKUP
) -> str:
    """Return a page with a bar, and templates and scripts after its content."""
    parts = {"heading": heading, "subheading": subheading, "content": content, "bar": bar, "behind": behind}
    return fill(template("frame.html"), title=f"{heading} · feedstore", root=root, assets=root + ASSETS, **parts)


@lru_cache
def template(name: str) -> str:
    """Return the text of an asset file."""
    return (_FOLDER / name).read_text(encoding="utf-8")
