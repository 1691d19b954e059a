"""Looking at timelines: what is asked of the store for those that may have changed, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from feedstore.channels.sse.event import Packet
from feedstore.channels.sse.window import Window


@dataclass(frozen=True)
class Look:
    """One timeline to look at.

    - ``window``: what those who are live know of it; None if nobody is.
    - ``is_deep``: whether to look at all of the newest entries, and not only at the first few.
    - ``joining``: the ids of the last events of those who wait to become live, None for one who begins.
    """

    key: str
    window: Window | None = None
    is_deep: bool = False
    joining: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What was seen: the window as it is now, what is news to those who are live, and what each who joins is to get.

    ``is_shallow`` if only the first few entries were looked at: one that was stored late may stand below.
    """

    window: Window
    news: list[Packet] = field(default_factory=list)
    answers: list[list[Packet]] = field(default_factory=list)
    is_shallow: bool = False
