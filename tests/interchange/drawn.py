"""Drawn activities and values."""

from __future__ import annotations

from datetime import timezone
from typing import Any

from hypothesis import strategies as st

from feedstore import Activity
from feedstore.ids import time_from_microseconds

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.datetimes(timezones=st.just(timezone.utc)),
    st.dates(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
plain = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(scalars, inner, max_size=3)),
    max_leaves=8,
)
names = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.text(min_size=1, max_size=8),
    st.sampled_from(
        ["photo:7", "https://social.example/ann", "urn:feedstore:name:x", "urn:feedstore:int:7", "_:b0", "%2F"]
    ),
    # Most of them only look like IRIs, such as "tag:red wine".
    st.builds(str.__add__, st.sampled_from(["tag:", "urn:", "at:", "http:", "_:"]), st.text(max_size=8)),
)
verbs = st.one_of(
    st.text(min_size=1, max_size=8), st.sampled_from(["like", "Like", "activity", "post", "tentativeAccept"])
)


def _activity(fields: dict[str, Any]) -> Activity:
    return Activity(**fields)


activities = st.builds(
    _activity,
    st.fixed_dictionaries(
        {
            "actor": names,
            "verb": verbs,
            "object": st.none() | names,
            "target": st.none() | names,
            "time": st.integers(0, 2**50).map(time_from_microseconds),
            "extra_context": st.dictionaries(st.text(max_size=4).filter(lambda key: key != "as2"), plain, max_size=3),
            "id": st.none() | st.integers(0, 2**128 - 1),
            "foreign_id": st.none() | names,
        }
    ),
)
