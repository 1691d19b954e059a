"""The index of a namespace's timelines, with search and sorting, one page at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlencode

from feedstore.serve.page import NO_MARKUP, Markup, fill

_KEYS_ON_A_PAGE = 200
# A namespace may hold millions: a page must not read them all.
_MOST_SCANNED = 200_000
_FORM = """
<form class="card" method="get" action="./" role="search">
  <div class="row">
    <label>Search<input name="search" value="$search" maxlength="1024" placeholder="part of a key" autocomplete="off" spellcheck="false"></label>
    <label class="small">Order<select name="sort"><option value="a">A to Z</option><option value="z"$z>Z to A</option></select></label>
    <button class="primary">Search</button>
  </div>
</form>
"""  # noqa: E501
_LIST = '<p class="count" role="status">$count</p><ul class="card keys">$items</ul>$more'
_ITEM = '<li><a href="$url">$key</a></li>'
_MORE = '<p class="more"><a href="$url">More</a></p>'


@dataclass(frozen=True)
class IndexQuery:
    """The query of an index page: keys that contain ``search``, ignoring case, after the key ``after``."""

    search: str = ""
    is_descending: bool = False
    after: str | None = None


def render_index(keys: Iterable[str], query: IndexQuery) -> Markup:
    """Return the search form and one page of the keys, with their number and a link to the next page."""
    scanned = iter(keys)
    found, matching = _page(islice(scanned, _MOST_SCANNED), query)
    shown = found[:_KEYS_ON_A_PAGE]
    before = matching.before
    items = Markup("".join(fill(_ITEM, url=_url(key=key), key=key) for key in shown))
    more = NO_MARKUP
    if len(found) > len(shown):
        sort = "z" if query.is_descending else "a"
        more = fill(_MORE, url=_url(search=query.search, sort=sort, after=shown[-1]))
    is_partial = next(scanned, None) is not None
    count = _count(before, len(shown), matching.total, bool(query.search), is_partial)
    form = fill(_FORM, search=query.search, z=Markup(" selected") if query.is_descending else NO_MARKUP)
    return Markup(form + fill(_LIST, count=count, items=items, more=more))


@dataclass
class _Matching:
    """The number of keys that match, and of those on earlier pages."""

    total: int = 0
    before: int = 0


def _page(keys: Iterable[str], query: IndexQuery) -> tuple[list[str], _Matching]:
    """Return the keys of a page and one more, in order. The page bounds the memory."""
    matching, wanted = _Matching(), query.search.casefold()

    def later() -> Iterable[str]:
        for key in keys:
            if wanted in key.casefold():
                matching.total += 1
                if query.after is None or (key < query.after if query.is_descending else key > query.after):
                    yield key
                else:
                    matching.before += 1

    choose = heapq.nlargest if query.is_descending else heapq.nsmallest
    return choose(_KEYS_ON_A_PAGE + 1, later()), matching


def _count(before: int, shown: int, total: int, is_search: bool, is_partial: bool) -> str:
    if not total:
        text = "No timeline's key contains that text." if is_search else "There is no timeline yet."
    elif shown == total:
        text = f"{total:,} timeline{'s' * (total > 1)}"
    else:
        text = f"{before + 1:,} to {before + shown:,} of {total:,} timelines"
    return f"{text}; only {_MOST_SCANNED:,} timelines of the namespace were searched" if is_partial else text


def _url(**parameters: str) -> str:
    return f"./?{urlencode({name: value for name, value in parameters.items() if value})}"
