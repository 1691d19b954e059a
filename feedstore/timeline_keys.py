"""The keys of the timelines that feedstore's own layers write."""

from __future__ import annotations


def actor_key(actor: str | int) -> str:
    """Return the key of the timeline of an actor's own activities.

    >>> actor_key("ann")
    'user:ann'
    """
    return f"user:{actor}"


def reader_key(reader: str | int) -> str:
    """Return the key of the timeline that a reader sees.

    >>> reader_key("bob")
    'feed:bob'
    """
    return f"feed:{reader}"
