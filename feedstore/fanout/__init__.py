"""Fan-out: the graph of follows, the manager that delivers activities to followers, and the reads of many feeds."""

from feedstore.fanout.dead_letters import DeadLetter, DeadLetters, Retries
from feedstore.fanout.decay import Decay, ExponentialDecay, GaussDecay, LinearDecay
from feedstore.fanout.edges import Follow
from feedstore.fanout.executors import Executor, InlineExecutor, JobOutcome, RunsJobs, ThreadExecutor
from feedstore.fanout.feed_classes import HomeFeed, Target, UserFeed
from feedstore.fanout.filtered_feed import ActivityFilter, FilteredFeed, FilteredPage, HiddenActors
from feedstore.fanout.follow_graph import Counts, FollowGraph
from feedstore.fanout.jobs import FanoutPriority, Job, JobOperation
from feedstore.fanout.manager import FeedManager
from feedstore.fanout.merged_feed import MergedFeed
from feedstore.fanout.policy import AlwaysPush, DeliveryPolicy, Producer, PullByDeliveries, PullByFollowers
from feedstore.fanout.producer_modes import DeliveryMode
from feedstore.fanout.publications import Route
from feedstore.fanout.queue_executor import QueueExecutor
from feedstore.fanout.ranked_feed import RankedFeed
from feedstore.fanout.worker import Worker

__all__ = [
    "ActivityFilter",
    "AlwaysPush",
    "Counts",
    "DeadLetter",
    "DeadLetters",
    "Decay",
    "DeliveryMode",
    "DeliveryPolicy",
    "Executor",
    "ExponentialDecay",
    "FanoutPriority",
    "FeedManager",
    "FilteredFeed",
    "FilteredPage",
    "Follow",
    "FollowGraph",
    "GaussDecay",
    "HiddenActors",
    "HomeFeed",
    "InlineExecutor",
    "Job",
    "JobOperation",
    "JobOutcome",
    "LinearDecay",
    "MergedFeed",
    "Producer",
    "PullByDeliveries",
    "PullByFollowers",
    "QueueExecutor",
    "RankedFeed",
    "Retries",
    "Route",
    "RunsJobs",
    "Target",
    "ThreadExecutor",
    "UserFeed",
    "Worker",
]
