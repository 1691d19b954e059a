"""Fan-out: the follow graph, which decides the feeds that an activity is delivered to, and the reads of many feeds."""

from feedstore.fanout.decay import Decay, ExponentialDecay, GaussDecay, LinearDecay
from feedstore.fanout.edges import Follow
from feedstore.fanout.filtered_feed import ActivityFilter, FilteredFeed, FilteredPage, HiddenActors
from feedstore.fanout.follow_graph import Counts, FollowGraph
from feedstore.fanout.merged_feed import MergedFeed
from feedstore.fanout.ranked_feed import RankedFeed

__all__ = [
    "ActivityFilter",
    "Counts",
    "Decay",
    "ExponentialDecay",
    "FilteredFeed",
    "FilteredPage",
    "Follow",
    "FollowGraph",
    "GaussDecay",
    "HiddenActors",
    "LinearDecay",
    "MergedFeed",
    "RankedFeed",
]
