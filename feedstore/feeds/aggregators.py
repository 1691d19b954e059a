"""Aggregators, which name the group of an activity and order the groups of a feed."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from string import Formatter
from typing import Any, Literal

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.feeds.groups import EntryGroup, hash_of
from feedstore.ids import id_to_text
from feedstore.shown import shown
from feedstore.storage.checks import check_key

Ranking = Callable[[EntryGroup], Any]
"""Returns a value by which the groups of a feed are sorted, the highest first."""
GroupWindow = Literal["day", "hour"] | None
"""The span of UTC time that one group covers; None is unlimited."""

# The lengths of their parts of a time in ISO 8601, which takes a tenth of the time of strftime.
_WINDOWS = {None: 0, "day": len("2026-05-01"), "hour": len("2026-05-01T12")}
_WINDOW_SEPARATORS = frozenset("-%")
_FIELDS = ("actor", "verb", "object", "target", "time", "foreign_id", "extra_context")
_FIELD = re.compile(rf"{'|'.join(_FIELDS)}(\[[^\]]+\])*")


class Aggregator(ABC):
    """Names the group of each activity, and orders the groups of a feed.

    Args:
        ranking: A function that takes an :class:`~feedstore.feeds.EntryGroup` and returns a value to sort by; the
            highest comes first, and of equal values the group with the newest member. By default the group with the
            newest member comes first.
    """

    def __init__(self, *, ranking: Ranking | None = None) -> None:
        if ranking is not None and not callable(ranking):
            raise InvalidTypeError(f"ranking must be a function that takes a group, not {shown(ranking)}")
        self.ranking = ranking

    @abstractmethod
    def get_group(self, activity: Activity) -> str:
        """Return the name of an activity's group: a str of 1 to 1,024 bytes in UTF-8.

        Equal activities must always have equal groups. If you change the function, entries that a feed holds keep their
        groups.
        """

    def begin_of(self, activity: Activity) -> datetime | None:
        """Return the earliest time that a member of an activity's group may have, or None if there is none.

        With it, a feed knows that the count of a group is exact although older entries were trimmed.
        """
        return None

    def rank(self, groups: list[EntryGroup]) -> list[EntryGroup]:
        """Return the groups, that with the newest member first, in the order in which the feed shows them."""
        if self.ranking is None:
            return groups
        ranking = self.ranking
        try:
            return sorted(groups, key=ranking, reverse=True)
        except Exception as error:
            raise InvalidValueError(f"the ranking function failed: {type(error).__name__}: {error}") from error

    def checked_group(self, activity: Any) -> str:
        """Return the name of an activity's group, or raise if it is not a name.

        Raises:
            InvalidTypeError: The activity is not an activity, or the name is not a str.
            InvalidValueError: The aggregator failed, or the name is empty or too long.
        """
        if not isinstance(activity, Activity):
            raise InvalidTypeError(
                f"an aggregated feed takes activities, because it groups them, not {shown(activity)} of type "
                f"{type(activity).__name__}"
            )
        try:
            group = self.get_group(activity)
        except Exception as error:
            raise InvalidValueError(
                f"{type(self).__name__} cannot name the group of activity {id_to_text(activity.id)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        return check_key(group, "group")

    def hash_group(self, activity: Any) -> bytes:
        """Return the 8 bytes that a feed stores for an activity's group."""
        return hash_of(self.checked_group(activity))


class WindowAggregator(Aggregator):
    """The base of aggregators whose groups cover a span of time.

    Args:
        window: ``"day"`` or ``"hour"``, in UTC; None makes one group of all times.
        ranking: As for :class:`Aggregator`.
    """

    fields: Sequence[str] = ()

    def __init__(self, window: GroupWindow = "day", *, ranking: Ranking | None = None) -> None:
        super().__init__(ranking=ranking)
        if window not in _WINDOWS:
            raise InvalidValueError(f"window is {shown(window)}; it must be 'day', 'hour' or None for an unlimited one")
        self.window = window

    def get_group(self, activity: Activity) -> str:
        """Return the fields of the activity and its window, as in ``like-photo:7-2026-05-01``."""
        parts = [_quoted(getattr(activity, field), _WINDOW_SEPARATORS) for field in self.fields]
        if self.window is not None:
            parts.append(activity.time.isoformat()[: _WINDOWS[self.window]])
        return "-".join(parts)

    def begin_of(self, activity: Activity) -> datetime | None:
        """Return the start of the activity's window."""
        if self.window is None:
            return None
        begin = activity.time.replace(minute=0, second=0, microsecond=0)
        return begin.replace(hour=0) if self.window == "day" else begin


class RecentVerbAggregator(WindowAggregator):
    """One group for each verb and day, as in "Ann liked photo 7, photo 8 and 3 others"."""

    fields = ("verb",)


class NotificationAggregator(WindowAggregator):
    """One group for each verb, object and day, as in "Ann, Bob and 3 others liked photo 7"."""

    fields = ("verb", "object")


class TemplateAggregator(Aggregator):
    """Groups by a format such as ``"{verb}-{target}-{time:%Y-%m}"``.

    The placeholders are the fields of an activity, and values of ``extra_context`` as in ``{extra_context[topic]}``.
    Between two placeholders stands a character that is no letter or digit. In values, these characters are
    percent-encoded, so that different values never have the same group. A field that is None is the empty str.
    """

    def __init__(self, template: str, *, ranking: Ranking | None = None) -> None:
        super().__init__(ranking=ranking)
        self.template = template
        if not isinstance(template, str):
            raise InvalidTypeError(f"a template must be a str such as '{{verb}}-{{object}}', not {shown(template)}")
        try:
            self._parts = [
                (literal, field, spec, conversion) for literal, field, spec, conversion in Formatter().parse(template)
            ]
        except ValueError as error:
            raise InvalidValueError(f"the template {shown(template)} cannot be read: {error}") from error
        self._check_placeholders()
        separators = {character for literal, _, _, _ in self._parts for character in literal}
        self._separators = frozenset(one for one in separators if not one.isalnum()) | {"%"}

    def _check_placeholders(self) -> None:
        """Raise unless the template has placeholders, each is known, and a separator stands between any two."""
        refused = f"the template {shown(self.template)}"
        if not any(name is not None for _, name, _, _ in self._parts):
            raise InvalidValueError(f"{refused} has no placeholder, so it has one group only")
        between = "-"
        for literal, name, spec, _ in self._parts:
            between += literal
            if name is None:
                continue
            if not _FIELD.fullmatch(name):
                raise InvalidValueError(
                    f"{refused} has the unknown placeholder {shown(name)}; the placeholders are "
                    f"{', '.join(_FIELDS)} and {{extra_context[name]}}"
                )
            if "{" in (spec or ""):
                raise InvalidValueError(f"{refused} has a placeholder in the format of {shown(name)}; write a constant")
            if all(character.isalnum() for character in between):
                raise InvalidValueError(
                    f"{refused} has no separator before {shown(name)}, so different values could have the same group; "
                    "put a character such as '-' between two placeholders"
                )
            between = ""

    def get_group(self, activity: Activity) -> str:
        """Return the template with the values of the activity."""
        words: list[str] = []
        for literal, field, spec, conversion in self._parts:
            words.append(literal)
            if field in _FIELDS and not (spec or conversion):
                words.append(_quoted(getattr(activity, field), self._separators))
            elif field is not None:
                words.append(self._formatted(activity, field, spec or "", conversion))
        return "".join(words)

    def _formatted(self, activity: Activity, field: str, spec: str, conversion: str | None) -> str:
        formatter = Formatter()
        value, _ = formatter.get_field(field, (), {name: getattr(activity, name) for name in _FIELDS})
        if value is None:
            return ""
        value = formatter.convert_field(value, conversion)
        if spec:
            text = str(formatter.format_field(value, spec))
            # The format of a time has a fixed number of separators, and a name is easier to read with them.
            return text if isinstance(value, datetime) else _quoted(text, self._separators)
        return _quoted(value, self._separators)


class FunctionAggregator(Aggregator):
    """Groups by a function that takes an activity and returns the name of its group."""

    def __init__(self, function: Callable[[Activity], str], *, ranking: Ranking | None = None) -> None:
        super().__init__(ranking=ranking)
        self.function = function

    def get_group(self, activity: Activity) -> str:
        """Return the result of the function."""
        return self.function(activity)


AggregatorLike = Aggregator | type[Aggregator] | str | Callable[[Activity], str]
"""An aggregator, a class of aggregators, a template or a function."""


def as_aggregator(value: Any) -> Aggregator:
    """Return the aggregator of a value: an aggregator, a class of aggregators, a template or a function.

    Raises:
        InvalidTypeError: The value is none of them.
    """
    if isinstance(value, Aggregator):
        return value
    if isinstance(value, type) and issubclass(value, Aggregator):
        return value()
    if isinstance(value, str):
        return TemplateAggregator(value)
    if isinstance(value, staticmethod):
        value = value.__func__
    if callable(value) and not isinstance(value, type):
        return FunctionAggregator(value)
    raise InvalidTypeError(
        "an aggregator is an Aggregator, a template such as '{verb}-{time:%Y-%m-%d}' or a function that takes an "
        f"activity, not {shown(value)}"
    )


def _quoted(value: object, separators: AbstractSet[str]) -> str:
    """Return a field as a str in which the separators are percent-encoded; None is the empty str."""
    text = "" if value is None else str(value)
    if not separators.isdisjoint(text):
        return "".join(_percent_encoded(one) if one in separators else one for one in text)
    return text


def _percent_encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())
