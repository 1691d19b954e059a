"""``feedstore events``: stores events from log files, follows files, and searches, counts and prunes events."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from datetime import timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feedstore.cli.options import (
    add_common_options,
    at_least_one,
    masked,
    open_existing_backend,
    store_url,
)
from feedstore.cli.output import counted, print_json, print_table, printable
from feedstore.cli.streams import flush_output, print_error
from feedstore.errors import InvalidSearchError, InvalidValueError
from feedstore.events import BackendEventStore, Event, connect_events
from feedstore.events.event import EARLIEST, event_fields, iso_of
from feedstore.events.pattern import compile_pattern
from feedstore.logs import (
    FORMATS,
    ImportReport,
    LogOptions,
    LogWatcher,
    dump_event,
    files_in,
    import_logs,
    import_theia,
    is_theia_file,
    parse_human_time,
)
from feedstore.shown import shown

NAME = "events"
HELP = "store, follow, search, count and prune events and log lines"
THEIA = "theia"
_DEFAULT_FORMAT = "{time}  {source}  {content}"
_BAR = 40
_BUCKETS = 24
_NICE_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 86_400, 7 * 86_400, 28 * 86_400, 365 * 86_400)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands and their options."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, declare, run_it, help_text in (
        ("import", _declare_import, _import, "store the events of files"),
        ("watch", _declare_watch, _watch, "store the lines that are appended to files, until interrupted"),
        ("search", _declare_search, _search, "print events"),
        ("stats", _declare_stats, _stats, "count events over time, by tag and by source"),
        ("prune", _declare_prune, _prune, "delete old events"),
    ):
        command = commands.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        declare(command)
        add_common_options(command)
        command.set_defaults(run_events=run_it)


def run(arguments: argparse.Namespace) -> int:
    """Run the sub-command."""
    run_it: Callable[[argparse.Namespace], int] = arguments.run_events
    return run_it(arguments)


def _declare_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="FILE", nargs="+", help="log files, also compressed with gzip, and folders")
    parser.add_argument(
        "--resume", action="store_true", help="continue files where an earlier import with the same options stopped"
    )
    parser.add_argument(
        "--format",
        choices=(*FORMATS, THEIA),
        default="auto",
        help="the format of the lines, or theia for theia's data files and SQL store; auto recognizes journald's JSON "
        "and syslog with a priority, and takes the time of any other line from its beginning (default: %(default)s)",
    )
    _declare_lines(parser)


def _declare_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="FILE", nargs="+", help="log files and folders; they need not exist yet")
    parser.add_argument(
        "--format", choices=tuple(FORMATS), default="auto", help="the format of the lines (default: %(default)s)"
    )
    parser.add_argument(
        "--from-start",
        action="store_true",
        help="read files that were never followed from their start, and not from their end",
    )
    _declare_lines(parser)


def _declare_lines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="S", help="the source of the events (default: the path of the file)")
    parser.add_argument("--tag", metavar="T", action="append", default=[], help="a tag of every event; repeat it")
    parser.add_argument("--encoding", metavar="E", default="utf-8", help="the files' encoding (default: %(default)s)")
    parser.add_argument(
        "--timezone", metavar="Z", default="UTC", help="the timezone of times without one (default: %(default)s)"
    )
    parser.add_argument(
        "--block-start",
        metavar="PATTERN",
        help="a line that the pattern matches begins an event, and other lines continue it (default: each line is one)",
    )


def _declare_range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", metavar="TIME", dest="start", help="the earliest time, such as '2h ago' or ISO 8601")
    parser.add_argument("--to", metavar="TIME", dest="end", help="the latest time, inclusive")
    parser.add_argument("--tag", metavar="T", action="append", default=[], help="a tag that events must have")
    parser.add_argument("--match", metavar="PATTERN", help="a pattern that matches in the content, in RE2's syntax")


def _declare_search(parser: argparse.ArgumentParser) -> None:
    _declare_range(parser)
    parser.add_argument("--desc", action="store_true", help="print the newest event first")
    parser.add_argument("--limit", metavar="N", type=at_least_one, help="print at most this number of events")
    parser.add_argument("--follow", action="store_true", help="go on with the events that are saved, until interrupted")
    parser.add_argument(
        "--format",
        metavar="F",
        default=_DEFAULT_FORMAT,
        help="a format with {id}, {time}, {timestamp}, {source}, {tags} and {content}, or theia for theia's format "
        "(default: '%(default)s')",
    )


def _declare_stats(parser: argparse.ArgumentParser) -> None:
    _declare_range(parser)


def _declare_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--before", metavar="TIME", required=True, help="the oldest time that is kept, as in '30d ago'")
    parser.add_argument("--tag", metavar="T", action="append", default=[], help="delete only events with this tag")
    parser.add_argument("--keep-tag", metavar="T", action="append", default=[], help="keep events with this tag")


def _import(arguments: argparse.Namespace) -> int:
    if arguments.format == THEIA:
        report = _import_theia(arguments)
    else:
        paths = files_in(arguments.paths)
        with _open_store(arguments) as store:
            report = import_logs(store, paths, _log_options(arguments), resume=arguments.resume)
    _report_import(report, arguments.json)
    return 0


def _import_theia(arguments: argparse.Namespace) -> ImportReport:
    # Imported here, because SQLAlchemy takes as long as everything else together.
    from feedstore.compat.theia import import_theia_table, theia_database

    databases = {path: theia_database(path) for path in arguments.paths}
    files = _theia_files([path for path, database in databases.items() if database is None])
    tags = tuple(arguments.tag)
    with _open_store(arguments) as store:
        report = import_theia(store, files, tags, resume=arguments.resume)
        for database in databases.values():
            if database is not None:
                report += import_theia_table(store, database, tags, resume=arguments.resume)
    return report


def _theia_files(given: list[str]) -> list[str]:
    """Return the data files among paths and in their folders, which may hold other files as well."""
    for path in given:
        if not Path(path).is_dir() and not is_theia_file(path):
            raise InvalidValueError(
                f"{shown(path)} is no data file of theia; pass files with names such as 10-70, their folder, or the "
                "SQLite file or URL of its SQL store"
            )
    return [path for path in files_in(given) if is_theia_file(path)]


def _open_store(arguments: argparse.Namespace) -> BackendEventStore:
    return connect_events(store_url(arguments), namespace=arguments.namespace)


def _report_import(report: ImportReport, as_json: bool) -> None:
    if as_json:
        print_json(vars(report))
        return
    print(f"stored {counted(report.events, 'event')} of {counted(report.files, 'file')}")
    if report.continued:
        print(f"{counted(report.continued, 'file')} continued where an earlier import had stopped")
    if report.malformed:
        print(f"{counted(report.malformed, 'line')} not in the format became events without its fields")


def _watch(arguments: argparse.Namespace) -> int:
    options = _log_options(arguments)
    with (
        _open_store(arguments) as store,
        LogWatcher(store, arguments.paths, options, from_start=arguments.from_start) as watcher,
        _stopped_by_signals(watcher.stop),
    ):
        print_error(f"watching {', '.join(map(printable, arguments.paths))}")
        watcher.run()
    return 0


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Any:
    """Call a function at the first SIGTERM or SIGINT inside the block."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log_options(arguments: argparse.Namespace) -> LogOptions:
    try:
        zone = ZoneInfo(arguments.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidValueError(
            f"the timezone {shown(arguments.timezone)} is not known; pass one such as Europe/Berlin"
        ) from None
    return LogOptions(
        format=FORMATS[arguments.format],
        source=arguments.source,
        tags=tuple(arguments.tag),
        encoding=arguments.encoding,
        zone=timezone.utc if arguments.timezone == "UTC" else zone,
        block_start=None if arguments.block_start is None else compile_pattern(arguments.block_start),
    )


def _range_of(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "ts_start": float("-inf") if arguments.start is None else _time(arguments.start),
        "ts_end": None if arguments.end is None else _time(arguments.end),
        "flags": arguments.tag,
        "match": arguments.match,
    }


def _time(text: str) -> float:
    try:
        return parse_human_time(text)
    except ValueError:
        raise InvalidSearchError(
            f"{shown(text)} is no time; pass one such as '2h ago', yesterday, 2026-11-29T08:00 or seconds since 1970"
        ) from None


def _search(arguments: argparse.Namespace) -> int:
    write = _writer(arguments)
    order = "desc" if arguments.desc else "asc"
    with BackendEventStore(open_existing_backend(arguments), owns_backend=True) as store:
        found: Iterable[Event] = store.search(
            **_range_of(arguments), order=order, limit=arguments.limit, follow=arguments.follow
        )
        for event in found:
            write(event)
            if arguments.follow:
                flush_output()
    return 0


def _writer(arguments: argparse.Namespace) -> Callable[[Event], object]:
    """Return the function that prints an event."""
    if arguments.json:
        return lambda event: print_json(event_fields(event))
    if arguments.format == THEIA:
        return lambda event: sys.stdout.buffer.write(dump_event(event) + b"\n")
    form: str = arguments.format

    def formatted(event: Event) -> str:
        fields = event_fields(event) | {"tags": ",".join(event.tags)}
        return form.format(**{name: printable(v) if isinstance(v, str) else v for name, v in fields.items()})

    try:
        formatted(Event("1", "s", 0))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise InvalidValueError(
            f"the format {shown(form)} is not one of {{id}}, {{time}}, {{timestamp}}, {{source}}, {{tags}} and "
            f"{{content}}: {error}"
        ) from None
    return lambda event: print(formatted(event))


def _stats(arguments: argparse.Namespace) -> int:
    with BackendEventStore(open_existing_backend(arguments), owns_backend=True) as store:
        first, last = (
            next(store.search(**_range_of(arguments), order=order, limit=1), None) for order in ("asc", "desc")
        )
        tags: Counter[str] = Counter()
        sources: Counter[str] = Counter()
        buckets: Counter[int] = Counter()
        width = _width(0 if first is None or last is None else last.timestamp - first.timestamp)
        for event in store.search(**_range_of(arguments)):
            tags.update(event.tags)
            sources[event.source] += 1
            buckets[int(event.timestamp // width)] += 1
    found = {"store": masked(store_url(arguments)), "namespace": arguments.namespace, "events": sources.total()}
    times = {"first": first and iso_of(first.timestamp), "last": last and iso_of(last.timestamp), "seconds": width}
    histogram = [
        {"time": iso_of(max(bucket * width, EARLIEST)), "events": buckets[bucket]}
        for bucket in (range(min(buckets), max(buckets) + 1) if buckets else ())
    ]
    if arguments.json:
        print_json(found | times | {"tags": tags, "sources": sources, "histogram": histogram})
    else:
        _print_stats(found, times, histogram, {"tag": tags, "source": sources})
    return 0


def _print_stats(
    found: dict[str, Any], times: dict[str, Any], histogram: list[dict[str, Any]], names: dict[str, Counter[str]]
) -> None:
    print(f"{printable(found['store'])}, namespace {found['namespace']}\n")
    between = f", {times['first']} to {times['last']}" if found["events"] else ""
    print(f"{counted(found['events'], 'event')}{between}")
    if histogram:
        most = max(one["events"] for one in histogram)
        rows = [(one["time"], f"{one['events']:,}", "█" * -(-one["events"] * _BAR // most)) for one in histogram]
        print()
        print_table(("from", "events", ""), rows, right=("events",))
    for name, counts in names.items():
        if counts:
            print()
            print_table((name, "events"), [(key, f"{count:,}") for key, count in counts.most_common(20)], ("events",))


def _width(seconds: float) -> int:
    """Return the seconds of a bar, so that a histogram has at most a screen of bars."""
    return next((nice for nice in _NICE_SECONDS if seconds / nice <= _BUCKETS), math.ceil(seconds / _BUCKETS))


def _prune(arguments: argparse.Namespace) -> int:
    with BackendEventStore(open_existing_backend(arguments), owns_backend=True) as store:
        count = store.prune(_time(arguments.before), arguments.tag or None, arguments.keep_tag or None)
    if arguments.json:
        print_json({"deleted": count})
    else:
        print(f"deleted {counted(count, 'event')}")
    return 0
