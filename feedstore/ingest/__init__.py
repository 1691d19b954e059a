"""Ingestion: from files of activities and follows to stored activities and feeds.

>>> import io
>>> from feedstore import connect
>>> from feedstore.fanout import FeedManager
>>> from feedstore.ingest import InputFollowers, Loader, Source
>>> rows = io.BytesIO(b"id,time,actor,verb,object,target,extra\\n1,2026-01-31T08:39:59Z,ann,like,photo:7,,\\n")
>>> with connect("memory://") as backend:
...     manager = FeedManager(backend, graph=InputFollowers([("bob", "ann")]))
...     summary = Loader(manager).load(Source("-", rows))
...     summary.activities, summary.deliveries, manager.get_feeds("bob")["normal"].count()
(1, 1, 1)
"""

from feedstore.ingest.checkpoint import Checkpoint, Checkpoints
from feedstore.ingest.follows import (
    FollowCounts,
    InputFollowers,
    import_follows,
    read_follow_pairs,
    read_follows,
)
from feedstore.ingest.loader import DEFAULT_MAX_FUTURE, Loader
from feedstore.ingest.source import Source
from feedstore.ingest.summary import Problems, Progress, Summary

__all__ = [
    "DEFAULT_MAX_FUTURE",
    "Checkpoint",
    "Checkpoints",
    "FollowCounts",
    "InputFollowers",
    "Loader",
    "Problems",
    "Progress",
    "Source",
    "Summary",
    "import_follows",
    "read_follow_pairs",
    "read_follows",
]
