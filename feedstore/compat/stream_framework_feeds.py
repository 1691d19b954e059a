"""The rules of an import of stream_framework's feeds, and the conversion of aggregated feeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from feedstore.activity import Activity
from feedstore.compat.stream_framework_data import ImportFindings, OldGroup
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.feeds import Aggregator, NotificationAggregator, RecentVerbAggregator, TemplateAggregator
from feedstore.feeds.groups import GroupEntry
from feedstore.feeds.key_format import KeyFormat
from feedstore.shown import shown

AUTO, FLAT, AGGREGATED, NOTIFICATION, TIMED = "auto", "flat", "aggregated", "notification", "notification-times"
KINDS = (AUTO, FLAT, AGGREGATED, NOTIFICATION, TIMED)
_FIELD = re.compile(r"%\(user_id\)s|\{user_id\}")
_SPLIT = "groups whose activities the aggregator puts into several groups"
_JOINED = "groups that the aggregator joins with another group of their feed"


@dataclass(frozen=True)
class FeedRule:
    """The treatment of the feeds of one class.

    Attributes:
        source: The format of their keys, as in ``feed:%(user_id)s``. In Cassandra, the table and a slash go before it.
        kind: ``flat``, ``aggregated``, ``notification``, or ``notification-times`` for the deprecated notification
            feeds, whose aggregated activities hold the times of seeing and reading. ``auto`` looks at the entries.
        target: The format of the keys in feedstore. None keeps the keys.
        aggregator: The template of the groups of aggregated feeds, as in ``{verb}-{time:%Y-%m}``. None groups by verb
            and day, or in notification feeds by verb, object and day, as stream_framework does.
        markers: The format that names the lists of unseen and unread aggregated activities. None is ``source``.
    """

    source: str
    kind: str = AUTO
    target: str | None = None
    aggregator: str | None = None
    markers: str | None = None
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = _FIELD.split(self.source)
        if len(parts) != 2:
            raise InvalidValueError(
                f"the format {shown(self.source)} must have one placeholder; write it as in 'feed:%(user_id)s'"
            )
        if self.kind not in KINDS:
            raise InvalidValueError(f"the kind of {shown(self.source)} is {shown(self.kind)}; pass {', '.join(KINDS)}")
        if self.target is not None:
            KeyFormat(self.target)
        if self.aggregator is not None:
            TemplateAggregator(self.aggregator)
        before, after = map(re.escape, parts)
        object.__setattr__(self, "_pattern", re.compile(f"{before}(.+){after}", re.DOTALL))

    @classmethod
    def parse(cls, text: str) -> FeedRule:
        """Return the rule of a str such as ``feed:%(user_id)s=flat`` or ``feed:%(user_id)s=flat=home:{user_id}``."""
        parts = text.split("=")
        if not 2 <= len(parts) <= 3:
            raise InvalidValueError(
                f"{shown(text)} is no rule of a feed; write it as in 'feed:%(user_id)s=flat' or "
                "'feed:%(user_id)s=flat=home:{user_id}'"
            )
        return cls(*parts)

    def user_of(self, key: str) -> str | None:
        """Return the id of the user in a key, or None if the key has another format."""
        match = self._pattern.fullmatch(key)
        return None if match is None else match[1]

    def target_of(self, key: str, user: str) -> str:
        """Return the key in feedstore."""
        return key if self.target is None else KeyFormat(self.target).key(user)

    def markers_of(self, user: str) -> list[str]:
        """Return the keys of the lists of unseen and of unread aggregated activities."""
        name = _FIELD.sub(lambda _: user, self.source if self.markers is None else self.markers)
        return [f"list:{name}:unseen", f"list:{name}:unread"]


ANY_FEED = FeedRule("{user_id}")
"""The rule without rules: every feed is imported under its own key."""


class FeedRules:
    """The rules of an import. Of several that fit a key, the one with the longest format counts."""

    def __init__(self, rules: Iterable[FeedRule | str] = ()) -> None:
        checked = [FeedRule.parse(rule) if isinstance(rule, str) else rule for rule in rules]
        for rule in checked:
            if not isinstance(rule, FeedRule):
                raise InvalidTypeError(f"a rule of a feed must be a FeedRule or a str, not {shown(rule)}")
        self.rules = sorted(checked, key=lambda rule: -len(rule.source)) or [ANY_FEED]

    def find(self, key: str) -> tuple[FeedRule, str] | None:
        """Return the rule of a key, and the id of the user in it, or None."""
        for rule in self.rules:
            user = rule.user_of(key)
            if user is not None:
                return rule, user
        return None


def read_mapping(value: Any) -> dict[str, Any]:
    """Return the arguments of an import in the value of a mapping file.

    The value is a dict with some of ``verbs``, ``verb_classes``, ``feeds`` and ``activities``.

    Raises:
        InvalidValueError: A name is unknown, or a value has another form.
    """
    known = {"verbs", "verb_classes", "feeds", "activities"}
    if not isinstance(value, dict) or not value.keys() <= known:
        raise InvalidValueError(f"the mapping must be an object with some of {', '.join(sorted(known))}")
    try:
        verbs = {int(number): str(name) for number, name in value.get("verbs", {}).items()}
        feeds = [FeedRule(**rule) for rule in value.get("feeds", ())]
        classes = {str(name): str(verb) for name, verb in value.get("verb_classes", {}).items()}
        keys = [str(key) for key in value.get("activities", ())]
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidValueError(f"the mapping cannot be read: {error}") from None
    return {"verbs": verbs, "verb_classes": classes, "feeds": feeds, **({"activities": keys} if keys else {})}


class ImportedFeed(NamedTuple):
    """The entries of one feed. An aggregated feed has entries with groups, and a notification feed marks."""

    key: str
    entries: Sequence[Any]
    is_aggregated: bool = False
    unseen: Sequence[GroupEntry] = ()
    unread: Sequence[GroupEntry] = ()
    groups: int = 0


@dataclass
class Grouping:
    """The conversion of the groups of one feed.

    Attributes:
        rule: The rule of the feed.
        kind: The kind of the feed.
        findings: Receives the losses and changes.
    """

    rule: FeedRule
    kind: str
    findings: ImportFindings
    _aggregator: Aggregator = field(init=False)

    def __post_init__(self) -> None:
        if self.rule.aggregator is not None:
            self._aggregator = TemplateAggregator(self.rule.aggregator)
        else:
            self._aggregator = RecentVerbAggregator() if self.kind == AGGREGATED else NotificationAggregator()

    def feed(
        self, key: str, groups: Sequence[tuple[OldGroup, Sequence[Activity]]], marks: Sequence[set[str]] | None
    ) -> ImportedFeed:
        """Return the feed of aggregated activities, each with its members.

        Args:
            key: The key in feedstore.
            groups: The aggregated activities with their members.
            marks: The ids of unseen and of unread aggregated activities, for notification feeds.
        """
        entries: dict[int, GroupEntry] = {}
        marked: tuple[list[GroupEntry], list[GroupEntry]] = ([], [])
        taken: set[bytes] = set()
        for group, members in groups:
            own = [GroupEntry(each.serialization_id, self._aggregator.hash_group(each)) for each in members]
            self._note(group, {entry.group_hash for entry in own}, taken)
            entries.update((entry.serialization_id, entry) for entry in own)
            for place, is_marked in enumerate(self._marks_of(group, marks)):
                marked[place].extend(own if is_marked else ())
        return ImportedFeed(key, list(entries.values()), True, *marked, len(groups))

    def _marks_of(self, group: OldGroup, marks: Sequence[set[str]] | None) -> tuple[bool, bool]:
        if self.kind == TIMED:
            return tuple(  # type: ignore[return-value]
                at is None or group.updated_at is None or at < group.updated_at for at in (group.seen_at, group.read_at)
            )
        if marks is None:
            return False, False
        return group.mark in marks[0], group.mark in marks[1]

    def _note(self, group: OldGroup, hashes: set[bytes], taken: set[bytes]) -> None:
        lost, changed = self.findings.lost, self.findings.changed
        if group.minimized:
            lost["activities of groups that the source counts and does not hold"] += group.minimized
        if group.seen_at is not None or group.read_at is not None:
            if self.kind == TIMED:
                changed["times of seeing and reading that become marks"] += 1
            else:
                lost["times of seeing and reading"] += 1
        if len(hashes) > 1:
            changed[_SPLIT] += 1
        if hashes & taken:
            changed[_JOINED] += 1
        taken |= hashes
