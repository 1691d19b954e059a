"""Exchange with other formats: ActivityStreams 2.0, JSON Feed and Atom."""

from feedstore.interchange.as2 import activities_from_as2, from_as2, to_as2, to_as2_collection
from feedstore.interchange.syndication import to_atom, to_json_feed
from feedstore.interchange.tagged import from_tagged, to_tagged

__all__ = [
    "activities_from_as2",
    "from_as2",
    "from_tagged",
    "to_as2",
    "to_as2_collection",
    "to_atom",
    "to_json_feed",
    "to_tagged",
]
