"""The page of the events of a store, with those that are saved live."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from feedstore.serve.markup import Markup, fill
from feedstore.serve.page import ASSETS, STATUS_BAR, render_framed

_PAGE = """
<form class="card" method="get" action="log" role="search">
  <div class="row">
    <label class="small">Tags, separated by commas<input name="tags" value="$tags" maxlength="1024" autocomplete="off" spellcheck="false"></label>
    <label>Pattern of the content<input name="match" value="$match" maxlength="1024" placeholder="disk|memory" autocomplete="off" spellcheck="false"></label>
    <button class="primary">Search</button>
  </div>
</form>
<ol class="timeline events" data-search-url="$search_url" data-tail-url="$tail_url" aria-label="Events" aria-busy="true"></ol>
<p class="end" role="status"></p>
<p class="more"><button class="quiet" type="button" hidden>Older events</button></p>
<noscript><p class="notice">This page needs JavaScript to show the events.</p></noscript>
<template id="event">
  <li class="entry"><article>
    <div class="body"><p class="what"><b class="actor"></b></p><blockquote class="text"></blockquote><dl class="extra" hidden></dl></div>
    <time></time>
  </article></li>
</template>
<script type="module" src="$assets/log.js"></script>
"""  # noqa: E501


def render_log(parameters: QueryParams, about: str, root: str) -> str:
    """Return the page as HTML, for the tags and the pattern in a query."""
    tags = [tag for part in parameters.get("tags", "").split(",") if (tag := part.strip())]
    match = parameters.get("match", "")
    query = urlencode([*(("tag", tag) for tag in tags), *([("match", match)] if match else [])])
    content = fill(
        _PAGE,
        tags=", ".join(tags),
        match=match,
        search_url=f"log/search?{query}",
        tail_url=f"log/tail?{query}",
        assets=root + ASSETS,
    )
    return render_framed("Events", about, Markup(content), root, bar=STATUS_BAR)
