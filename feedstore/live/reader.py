"""Reading from the store what live clients are to hear, for many timelines at once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from feedstore.activity import Activity
from feedstore.errors import StoredDataError
from feedstore.ids import id_to_text
from feedstore.live.event import ACTIVITY, Packet, new_event
from feedstore.live.packets import PacketWriter
from feedstore.live.position import Gap, Position, Resumption, decode_position, encode_position, resume
from feedstore.live.window import Change, Window, compare
from feedstore.serializers.plain import activity_fields, plain_value
from feedstore.storage import ActivityStorage, Page, TimelineStorage

_Made = TypeVar("_Made")
Render = Callable[[Activity], dict[str, Any]]
"""What makes of an activity the document that a browser gets."""

_logger = logging.getLogger("feedstore.live")
_EXACT_IN_JAVASCRIPT = 2**53 - 1
# News is at the top: the first look at a changed timeline goes no deeper. A thousand looks at 8 entries took 3 ms in
# memory and 7 in SQLite, at 100 entries 37 and 117.
FEW_ENTRIES = 8


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


@dataclass(frozen=True)
class _Plan:
    """What a look found, before the activities are loaded."""

    look: Look
    window: Window
    change: Change | None
    answers: list[Resumption | Gap | None]
    is_shallow: bool = False

    def ids(self) -> Iterable[int]:
        """Yield the activities that are to be told of."""
        if self.change is not None and self.change.reaches:
            yield from self.change.added
        for answer in self.answers:
            if isinstance(answer, Resumption):
                yield from answer.missed


class TimelineReader:
    """Looks at timelines. Blocks: for a thread other than the event loop's.

    ``window_size`` is how many of the newest entries are compared with what was sent, ``most_missed`` how many are sent
    again to one who comes back.
    """

    def __init__(
        self,
        timelines: TimelineStorage,
        activities: ActivityStorage,
        render: Render = activity_fields,
        window_size: int = 100,
        most_missed: int = 1000,
    ) -> None:
        self._timelines = timelines
        self._activities = activities
        self._render = render
        self._window_size = window_size
        self._most_missed = most_missed

    def read(self, looks: Sequence[Look]) -> dict[str, Seen]:
        """Return what is seen of each timeline.

        One read for all timelines nobody joins, one or two for each that somebody joins, and one for all activities.
        """
        plans = [*self._plan_news(looks), *(self._plan_joining(look) for look in looks if look.joining)]
        events = self._load({activity_id for plan in plans for activity_id in plan.ids()})
        return {plan.look.key: self._tell(plan, events) for plan in plans}

    def read_page(self, key: str, limit: int, cursor: str | None) -> dict[str, Any]:
        """Return a page as a document; the first one with the position that a stream goes on from."""
        position = None
        if cursor is None:
            # Before the items: what comes in between is in both then, and in none of them otherwise.
            position = self._position(key)
        page, activities = self._read_page(key, limit, cursor)
        return {
            "items": list(self._made(activities, self._document).values()),
            "next_cursor": page.next_cursor,
            "complete": page.complete,
            "position": position,
        }

    def _read_page(self, key: str, limit: int, cursor: str | None) -> tuple[Page, list[Activity]]:
        try:
            page = self._timelines.get_page(key, limit, cursor=cursor, hydrate_from=self._activities)
        except StoredDataError:
            page = self._timelines.get_page(key, limit, cursor=cursor)
            return page, self._load_each(entry.serialization_id for entry in page.items)
        return page, page.items

    def _position(self, key: str) -> str:
        window, _ = self._read_deep(key, self._window_size)
        return encode_position(Position.of(window), key)

    def _plan_news(self, looks: Sequence[Look]) -> Iterable[_Plan]:
        for depth, is_deep in ((FEW_ENTRIES, False), (self._window_size, True)):
            chosen = [look for look in looks if look.is_deep is is_deep and not look.joining]
            read = self._timelines.get_many_slices([look.key for look in chosen], 0, depth) if chosen else {}
            for look in chosen:
                ids = [entry.serialization_id for entry in read[look.key]]
                yield self._plan_one(look, Window.of(ids, len(ids) < depth))

    def _plan_one(self, look: Look, read: Window) -> _Plan:
        if look.window is None:
            return _Plan(look, read, None, [])
        change = compare(look.window, read, self._window_size)
        if not change.reaches:
            deeper, _ = self._read_deep(look.key, self._window_size + self._most_missed)
            change = compare(look.window, deeper, self._window_size)
        elif not look.is_deep and read.lowest > 0:
            return _Plan(look, change.window, change, [], is_shallow=True)
        return _Plan(look, change.window, change, [])

    def _plan_joining(self, look: Look) -> _Plan:
        positions = [None if text is None else decode_position(text, look.key) for text in look.joining]
        window, floor = self._read_deep(look.key, self._window_size + FEW_ENTRIES)
        if not _reaches(window, look.window, positions):
            window, floor = self._read_deep(look.key, self._window_size + self._most_missed + 1)
        # All from one read: what one who joins is told begins where the news of those who are live ends.
        answers = [
            None if text is None else resume(position, window, floor, self._most_missed)
            for text, position in zip(look.joining, positions, strict=True)
        ]
        change = None if look.window is None else compare(look.window, window, self._window_size)
        return _Plan(look, window.cut(self._window_size), change, answers)

    def _read_deep(self, key: str, depth: int) -> tuple[Window, int | None]:
        page = self._timelines.get_page(key, depth)
        ids = [entry.serialization_id for entry in page.items]
        return Window.of(ids, page.next_cursor is None, page.floor), page.floor

    def _tell(self, plan: _Plan, events: dict[int, bytes]) -> Seen:
        look, change = plan.look, plan.change
        writer = PacketWriter(look.key, events, self._window_size)
        answers = [writer.answer(answer, plan.window) for answer in plan.answers]
        if look.window is None or change is None:
            return Seen(plan.window, [], answers)
        news = writer.news(look.window, change) if change.reaches else writer.gap(Gap.TOO_MANY, plan.window)
        return Seen(plan.window, news, answers, plan.is_shallow)

    def _load(self, ids: Iterable[int]) -> dict[int, bytes]:
        wanted = sorted(ids)
        try:
            found = self._activities.get_many(wanted) if wanted else []
        except StoredDataError:
            found = self._load_each(wanted)
        return self._made(found, self._event)

    def _load_each(self, ids: Iterable[int]) -> list[Activity]:
        return [activity for activity_id in ids for activity in self._load_one(activity_id)]

    def _load_one(self, activity_id: int) -> list[Activity]:
        """Return an activity, nothing if it is gone or damaged: one that is must not silence a timeline."""
        try:
            return self._activities.get_many([activity_id])
        except StoredDataError as error:
            _logger.error("the activity %s cannot be sent: %s", id_to_text(activity_id), error)
            return []

    def _made(self, activities: Iterable[Activity], make: Callable[[Activity], _Made]) -> dict[int, _Made]:
        """Return ``{id: what is made of the activity}`` of those that it can be made of."""
        made = ((activity.serialization_id, _attempted(make, activity)) for activity in activities)
        return {activity_id: one for activity_id, one in made if one is not None}

    def _event(self, activity: Activity) -> bytes:
        document = self._document(activity)
        return new_event(ACTIVITY, json.dumps(document, ensure_ascii=False, separators=(",", ":")))

    def _document(self, activity: Activity) -> Any:
        return plain_value(self._render(activity), exact_integers=_EXACT_IN_JAVASCRIPT)


def _attempted(make: Callable[[Activity], _Made], activity: Activity) -> _Made | None:
    try:
        return make(activity)
    # Whatever an application's `render` raises for one activity must not end everybody's streams.
    except Exception:
        _logger.exception("the activity %s cannot be sent", id_to_text(activity.serialization_id))
        return None


def _reaches(window: Window, live: Window | None, positions: Iterable[Position | None]) -> bool:
    """Return whether a window reaches down to what those who are live and those who join know."""
    lowest = [position.lowest for position in positions if position is not None]
    return all(window.lowest <= one for one in lowest) and (live is None or window.lowest <= live.newest + 1)
