"""HTML templates whose parts are escaped."""

from __future__ import annotations

from html import escape
from string import Template


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
