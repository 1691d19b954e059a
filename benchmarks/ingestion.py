"""How fast files become stored activities and timelines, and how much memory that takes."""

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
from feedstore.ingest import FollowGraph, Loader, Problems, Source, read_follows

DATA = Path(__file__).resolve().parent.parent / "examples" / "data" / "dev-review-feed"
ACTIVITIES, FOLLOWS = "activities.csv.gz", "follows.csv.gz"
_KIBIBYTE = 1024


@dataclass(frozen=True)
class Ingestion:
    """One ingestion into an empty store; ``peak_bytes`` is the most memory that its process had."""

    backend: str
    activities: int
    deliveries: int
    seconds: float
    peak_bytes: int


def why_unavailable(data: Path) -> str | None:
    """Return which file is missing in ``data``, None if both are there."""
    missing = [name for name in (ACTIVITIES, FOLLOWS) if not (data / name).exists()]
    return f"{data} holds no {missing[0]}" if missing else None


def ingest(backend: str, laboratory: Laboratory, data: Path, most_rows: int | None) -> Ingestion:
    """Ingest ``data`` (its first ``most_rows`` activities) in a new process, so that no other memory counts."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_ingest, backend, laboratory.new_url(), data, most_rows).result()


def _ingest(backend: str, url: str, data: Path, most_rows: int | None) -> Ingestion:
    follows: FollowGraph = read_follows(Source(data / FOLLOWS), Problems())
    with connect(url) as store:
        summary = Loader(store, follows).load(_source(data / ACTIVITIES, most_rows))
    return Ingestion(backend, summary.activities, summary.deliveries, summary.seconds, _peak_bytes())


def _peak_bytes() -> int:
    # getrusage would answer with the parent's peak where that was higher: Linux hands it on to what a process starts.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    if peak is None:
        raise RuntimeError("the kernel does not tell the peak of this process's memory")
    return int(peak[1]) * _KIBIBYTE


def _source(path: Path, most_rows: int | None) -> Source:
    if most_rows is None:
        return Source(path)
    with gzip.open(path) as lines:
        return Source("-", BytesIO(b"".join(islice(lines, most_rows + 1))))
