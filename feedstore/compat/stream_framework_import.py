"""Importing the activities and feeds of stream_framework 1.4 from its Redis or Cassandra."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from feedstore.compat.stream_framework_data import Converter, ImportFindings
from feedstore.compat.stream_framework_feeds import FeedRule, FeedRules, ImportedFeed, read_mapping
from feedstore.compat.stream_framework_sources import Step, StreamCassandra, StreamRedis, StreamSource
from feedstore.errors import InvalidValueError
from feedstore.feeds import GroupSerializer
from feedstore.feeds.notification_feed import UNREAD, UNSEEN
from feedstore.ingest.summary import STOP
from feedstore.logs.tail import head_hash
from feedstore.shown import shown
from feedstore.storage import Backend, Batch

__all__ = ["FeedRule", "StreamImport", "import_stream_framework", "read_mapping"]

IMPORT_STATE = "stream-framework-import"
"""The key-value storage that holds the places of interrupted imports."""
_REDIS = ("redis", "rediss", "unix")
_MOST_DELAY = timedelta(hours=1)
"""The time that an activity may be old when its application stores it, with the difference of the clocks."""
_COUNTS = ("activities", "new_activities", "feeds", "aggregated_feeds", "entries", "groups", "unseen", "unread")


@dataclass
class StreamImport:
    """The counts of an import, over all runs that resumed one another.

    Attributes:
        activities: The activities that were read, with each copy in a notification feed or an aggregated feed.
        new_activities: Those that were new to the store. None in a dry run, and in a store without exact counts.
        feeds: The parts of flat feeds; a feed of more than 1,000 entries has several.
        aggregated_feeds: The aggregated and notification feeds.
        entries: The entries of all feeds.
        groups: The aggregated activities.
        unseen: The entries that are unseen.
        unread: The entries that are unread.
        other_keys: The sorted sets that are no feeds of stream_framework, and feeds that no rule fits.
        is_resumed: Whether the run continued an interrupted one.
        seconds: The duration of this run.
        findings: The losses and changes.
    """

    activities: int = 0
    new_activities: int | None = None
    feeds: int = 0
    aggregated_feeds: int = 0
    entries: int = 0
    groups: int = 0
    unseen: int = 0
    unread: int = 0
    other_keys: int = 0
    is_resumed: bool = False
    seconds: float = 0.0
    findings: ImportFindings = field(default_factory=ImportFindings)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name, for programs."""
        counts = {name: getattr(self, name) for name in (*_COUNTS, "other_keys")}
        found = self.findings
        return {
            **counts,
            "resumed": self.is_resumed,
            "seconds": round(self.seconds, 3),
            "lost": dict(found.lost),
            "changed": dict(found.changed),
            "examples": list(found.examples),
        }


def import_stream_framework(
    backend: Backend | None,
    url: str,
    *,
    feeds: Iterable[FeedRule | str] = (),
    verbs: Mapping[int, str] | None = None,
    verb_classes: Mapping[str, str] | None = None,
    activities: Sequence[str] = ("global",),
    on_error: str = STOP,
    resume: bool = False,
    progress: Callable[[StreamImport], None] | None = None,
) -> StreamImport:
    """Import the activities and feeds of stream_framework, and return the counts.

    The source is only read. The old id of an activity becomes its ``foreign_id``, so an import that is repeated stores
    nothing twice. Stop the writers of the source, or import again after the application has changed over.

    Args:
        backend: The store to write to. With None nothing is written: a dry run, whose findings are those of an import.
        url: ``redis://…``, ``rediss://…``, ``unix://…`` or ``cassandra://…/keyspace``.
        feeds: The rules of the feeds. Without rules, all sorted sets or tables in stream_framework's formats are feeds,
            and keep their keys.
        verbs: The names of verbs by their numbers, in addition to those of stream_framework.
        verb_classes: The names of verbs by the names of their classes, for aggregated feeds in Cassandra.
        activities: The names of the activity storages in Redis.
        on_error: ``"skip"`` counts refused activities and contexts, instead of raising the first one's error.
        resume: Whether to continue where an interrupted import of the same source and rules stopped.
        progress: Called after each step with the counts so far.

    Raises:
        InputError: An activity or a context is refused, and ``on_error`` is ``"stop"``.
        InvalidValueError: The URL or a rule cannot be read.
        StorageError: The source or the store failed. Import again with ``resume=True``.
    """
    report = StreamImport()
    rules = FeedRules(feeds)
    converter = Converter(verbs, verb_classes, on_error, report.findings)
    source = _source_at(url, converter, rules, activities)
    try:
        run = _Run(backend, source, report, str(rules.rules))
        run.carry_out(resume, progress)
    finally:
        source.close()
    return report


def _source_at(url: str, converter: Converter, rules: FeedRules, activities: Sequence[str]) -> StreamSource:
    scheme = url.partition("://")[0]
    if scheme in _REDIS:
        return StreamRedis(url, converter, rules, activities)
    if scheme == "cassandra":
        return StreamCassandra(url, converter, rules)
    raise InvalidValueError(f"stream_framework is imported from redis:// or cassandra://, not {shown(scheme)}://")


class _Run:
    """One run of an import."""

    def __init__(self, backend: Backend | None, source: StreamSource, report: StreamImport, options: str) -> None:
        self._backend = backend
        self._source = source
        self._report = report
        self._key = head_hash(f"{source.label} {options}".encode())
        self._begun = datetime.now(timezone.utc) - _MOST_DELAY

    def carry_out(self, resume: bool, progress: Callable[[StreamImport], None] | None) -> None:
        """Import all steps, or those after the place of the interrupted run."""
        started = time.monotonic()
        place = self._resumed() if resume else None
        for step in self._source.steps(place, self._begun):
            self._write(step)
            self._report.other_keys = self._source.other_keys
            self._report.seconds = time.monotonic() - started
            if step.place is not None:
                self._save(step.place)
            if progress is not None:
                progress(self._report)
        if self._backend is not None:
            self._backend.kv_storage(IMPORT_STATE).delete(self._key)

    def _resumed(self) -> dict[str, Any] | None:
        """Take over the counts of an interrupted run, and return its place."""
        found = None if self._backend is None else self._backend.kv_storage(IMPORT_STATE).get(self._key)
        if found is None:
            return None
        report = self._report
        report.is_resumed = True
        for name, count in found["counts"].items():
            setattr(report, name, count)
        report.findings.lost = Counter(found["lost"])
        report.findings.changed = Counter(found["changed"])
        report.findings.examples[:] = found["examples"]
        self._source.other_keys = found["other_keys"]
        self._begun = found["begun"]
        place: dict[str, Any] = found["place"]
        return place

    def _save(self, place: dict[str, Any]) -> None:
        if self._backend is not None:
            report = self._report
            value = {
                "place": place,
                "begun": self._begun,
                "counts": {name: getattr(report, name) for name in _COUNTS},
                "other_keys": report.other_keys,
                "lost": dict(report.findings.lost),
                "changed": dict(report.findings.changed),
                "examples": report.findings.examples,
            }
            self._backend.kv_storage(IMPORT_STATE).upsert(self._key, value)

    def _write(self, step: Step) -> None:
        report = self._report
        if self._backend is not None:
            if step.activities:
                added = self._backend.activity_storage().add_many(step.activities)
                report.new_activities = None if added is None else (report.new_activities or 0) + added
            with self._backend.batch() as batch:
                for feed in step.feeds:
                    _write_feed(self._backend, feed, batch)
        report.activities += len(step.activities)
        for feed in step.feeds:
            report.feeds += not feed.is_aggregated
            report.aggregated_feeds += feed.is_aggregated
            report.entries += len(feed.entries)
            report.groups += feed.groups
            report.unseen += len(feed.unseen)
            report.unread += len(feed.unread)


def _write_feed(backend: Backend, feed: ImportedFeed, batch: Batch) -> None:
    timelines: Any = backend.timeline_storage(GroupSerializer if feed.is_aggregated else None)
    timelines.add_many(feed.key, feed.entries, batch_interface=batch)
    for suffix, entries in ((UNSEEN, feed.unseen), (UNREAD, feed.unread)):
        if entries:
            timelines.add_many(feed.key + suffix, entries, batch_interface=batch)
