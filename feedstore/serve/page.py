"""The pages of a timeline and of the events of a store, their escaped templates, and their asset files."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles


class Markup(str):
    """A str that is HTML already and is not escaped again."""

    __slots__ = ()


NO_MARKUP = Markup()


def fill(template: str, **parts: str) -> Markup:
    """Return ``template`` with each ``$name`` replaced by its part, escaped unless it is :class:`Markup`.

    Raises ``KeyError`` for a name without a part.

    >>> fill("<b>$who</b>", who="<script>")
    '<b>&lt;script&gt;</b>'
    """
    escaped = {name: part if isinstance(part, Markup) else escape(part) for name, part in parts.items()}
    return Markup(Template(template).substitute(escaped))


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
    """Return the page of a timeline as HTML.

    It requests entries from ``timeline_url`` and the stream from ``events_url``. ``root`` is the path prefix of
    the application, ``.`` for the folder of this page. ``controls`` is placed above the timeline.
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


def render_log(parameters: QueryParams, about: str, root: str) -> str:
    """Return the page of events as HTML, for the tags and the pattern in a query."""
    tags = [tag for part in parameters.get("tags", "").split(",") if (tag := part.strip())]
    match = parameters.get("match", "")
    query = urlencode([*(("tag", tag) for tag in tags), *([("match", match)] if match else [])])
    content = fill(
        template("log.html"),
        tags=", ".join(tags),
        match=match,
        search_url=f"log/search?{query}",
        tail_url=f"log/tail?{query}",
        assets=root + ASSETS,
    )
    return render_framed("Events", about, Markup(content), root, bar=STATUS_BAR)
