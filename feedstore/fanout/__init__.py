"""Fan-out: the follow graph, which decides the feeds that an activity is delivered to."""

from feedstore.fanout.edges import Follow
from feedstore.fanout.follow_graph import Counts, FollowGraph

__all__ = ["Counts", "Follow", "FollowGraph"]
