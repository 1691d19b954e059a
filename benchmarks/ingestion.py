"""Ingestion: the rate from files to stored activities and timelines, and the memory of the process."""

from __future__ import annotations

import gzip
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

from benchmarks.table import Laboratory
from feedstore import connect
from feedstore.fanout import FeedManager, FollowGraph
from feedstore.ingest import Loader, Problems, Source, import_follows

DATA = Path(__file__).resolve().parent.parent / "examples" / "data" / "dev-review-feed"
ACTIVITIES, FOLLOWS = "activities.csv.gz", "follows.csv.gz"
_KIBIBYTE = 1024


@dataclass(frozen=True)
class Ingestion:
    """One ingestion into an empty store. ``peak_bytes`` is the peak memory of its process."""

    backend: str
    activities: int
    deliveries: int
    seconds: float
    peak_bytes: int


def why_unavailable(data: Path) -> str | None:
    """Return the missing file in ``data``, or None if both exist."""
    missing = [name for name in (ACTIVITIES, FOLLOWS) if not (data / name).exists()]
    return f"{data} holds no {missing[0]}" if missing else None


def ingest(backend: str, laboratory: Laboratory, data: Path, most_rows: int | None) -> Ingestion:
    """Ingest the first ``most_rows`` activities of ``data`` in a new process, so that no other memory counts."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_ingest, backend, laboratory.new_url(), data, most_rows).result()


def _ingest(backend: str, url: str, data: Path, most_rows: int | None) -> Ingestion:
    with connect(url) as store:
        graph = FollowGraph(store)
        import_follows(graph, Source(data / FOLLOWS), Problems())
        summary = Loader(FeedManager(store, graph=graph)).load(_source(data / ACTIVITIES, most_rows))
    return Ingestion(backend, summary.activities, summary.deliveries, summary.seconds, peak_bytes())


def peak_bytes() -> int:
    """Return the peak memory of this process."""
    # getrusage would return the parent's peak if that was higher, because a new process inherits it on Linux.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if peak is None:
        raise RuntimeError("the kernel does not report this process's peak memory")
    return int(peak[1]) * _KIBIBYTE


def _source(path: Path, most_rows: int | None) -> Source:
    if most_rows is None:
        return Source(path)
    with gzip.open(path) as lines:
        return Source("-", BytesIO(b"".join(islice(lines, most_rows + 1))))
