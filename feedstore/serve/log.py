"""The page of the events of a store, with those that are saved live."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from feedstore.serve.markup import Markup, fill
from feedstore.serve.page import ASSETS, STATUS_BAR, render_framed, template


def render_log(parameters: QueryParams, about: str, root: str) -> str:
    """Return the page as HTML, for the tags and the pattern in a query."""
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
