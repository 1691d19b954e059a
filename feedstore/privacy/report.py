"""The report of an erasure, which can be signed off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

_FORMAT = 1


@dataclass(frozen=True)
class ErasureReport:
    """The report of an erasure.

    Attributes:
        person: The name.
        namespace: The namespace of the store.
        roles: The fields of activities that were searched for the name.
        started: The time at which the first run began.
        finished: The time of the end of the verification.
        runs: The number of runs; more than 1 if runs were interrupted.
        counts: The numbers of erased records by their kind. After an interrupted run, they may lack those of its last
            chunk.
        remaining: The numbers of records that the verification found, by part: all 0 if it found nothing.
        not_covered: The data that the erasure does not reach, by name.
        activity_ids: The ids of the erased activities by collection, if they were asked for.
    """

    person: str
    namespace: str
    roles: tuple[str, ...]
    started: datetime
    finished: datetime
    runs: int
    counts: dict[str, int]
    remaining: dict[str, int]
    not_covered: list[str] = field(default_factory=list)
    activity_ids: dict[str, list[str]] | None = None

    @property
    def is_verified(self) -> bool:
        """Whether the verification found nothing."""
        return not any(self.remaining.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the report in types of JSON, with ``digest``, the SHA-256 of all other items.

        The digest is that of the items as JSON with sorted keys, without white space, in UTF-8.
        """
        fields = {"format": _FORMAT, **asdict(self), "roles": list(self.roles), "verified": self.is_verified}
        fields |= {"started": self.started.isoformat(), "finished": self.finished.isoformat()}
        if self.activity_ids is None:
            del fields["activity_ids"]
        return {**fields, "digest": report_digest(fields)}


def report_digest(report: Mapping[str, Any]) -> str:
    """Return the digest of a report in types of JSON, without regard to its item ``digest``.

    >>> report_digest({"person": "ann", "digest": "sha256:0"}) == report_digest({"person": "ann"})
    True
    """
    fields = {name: value for name, value in report.items() if name != "digest"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{sha256(text.encode()).hexdigest()}"
