"""Logs: files of log lines as events, once or as they grow."""

from feedstore.logs.formats import FORMATS, Format, Record
from feedstore.logs.loader import ImportReport, import_logs, import_theia
from feedstore.logs.reader import LogOptions, LogReader, files_in, open_log
from feedstore.logs.theia import dump_event, is_theia_file, read_theia
from feedstore.logs.times import LineTimes, parse_human_time
from feedstore.logs.watcher import LogWatcher

__all__ = [
    "FORMATS",
    "Format",
    "ImportReport",
    "LineTimes",
    "LogOptions",
    "LogReader",
    "LogWatcher",
    "Record",
    "dump_event",
    "files_in",
    "import_logs",
    "import_theia",
    "is_theia_file",
    "open_log",
    "parse_human_time",
    "read_theia",
]
