"""Ingestion: from files of activities and follows to stored activities and timelines.

>>> import io
>>> from feedstore import connect
>>> from feedstore.ingest import InputGraph, Loader, Source
>>> rows = io.BytesIO(b"id,time,actor,verb,object,target,extra\\n1,2026-01-31T08:39:59Z,ann,like,photo:7,,\\n")
>>> with connect("memory://") as backend:
...     summary = Loader(backend, InputGraph([("bob", "ann")])).load(Source("-", rows))
...     summary.activities, summary.deliveries, backend.timeline_storage().count("feed:bob")
(1, 1, 1)
"""

from feedstore.ingest.checkpoint import Checkpoint, Checkpoints
from feedstore.ingest.follows import InputGraph, read_follow_pairs, read_follows
from feedstore.ingest.loader import DEFAULT_MAX_FUTURE, DEFAULT_MAX_LENGTH, Loader
from feedstore.ingest.source import Source
from feedstore.ingest.summary import Problems, Progress, Summary

__all__ = [
    "DEFAULT_MAX_FUTURE",
    "DEFAULT_MAX_LENGTH",
    "Checkpoint",
    "Checkpoints",
    "InputGraph",
    "Loader",
    "Problems",
    "Progress",
    "Source",
    "Summary",
    "read_follow_pairs",
    "read_follows",
]
