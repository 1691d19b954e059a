"""All suites in one class."""

from __future__ import annotations

from feedstore.testing.activity_suite import ActivityArgumentSuite, ActivityIterationSuite, ActivitySuite
from feedstore.testing.aggregated_feed_suite import AggregatedFeedArgumentSuite, AggregatedFeedSuite
from feedstore.testing.backend_suite import BackendSuite
from feedstore.testing.batch_suite import AtomicBatchSuite, BatchArgumentSuite, BatchSuite
from feedstore.testing.channel_repository_suite import ChannelRepositorySuite
from feedstore.testing.collection_suite import CollectionArgumentSuite, CollectionSuite
from feedstore.testing.concurrency_suite import ForkSuite, ProcessSuite, ThreadSuite
from feedstore.testing.connection_repository_suite import ConnectionRepositorySuite
from feedstore.testing.delivery_suite import ColumnsSuite, DeliveryArgumentSuite, DeliverySuite, MergeReadsSuite
from feedstore.testing.document_search_suite import DocumentArgumentSuite, DocumentSearchSuite
from feedstore.testing.document_suite import DocumentAbilitySuite, DocumentSuite
from feedstore.testing.fan_out_suite import FanOutArgumentSuite, FanOutSuite
from feedstore.testing.feed_suite import FeedArgumentSuite, FeedSuite
from feedstore.testing.follow_graph_suite import FollowGraphSuite
from feedstore.testing.hydrate_suite import HydrateArgumentSuite, HydrateSuite
from feedstore.testing.key_suite import KeyArgumentSuite, KeySuite
from feedstore.testing.kv_condition_suite import KvConditionSuite, KvRangeSuite
from feedstore.testing.kv_suite import KvArgumentSuite, KvSuite
from feedstore.testing.kv_value_suite import KvCodecSuite, KvValueSuite
from feedstore.testing.manager_suite import ManagerSuite
from feedstore.testing.merged_feed_suite import MergedFeedSuite
from feedstore.testing.notification_feed_suite import NotificationFeedArgumentSuite, NotificationFeedSuite
from feedstore.testing.notify_suite import NotifyArgumentSuite, NotifySuite
from feedstore.testing.part_repository_suite import PartRepositorySuite
from feedstore.testing.pubsub_suite import PubsubCacheSuite
from feedstore.testing.pubsub_update_suite import PubsubUpdateSuite
from feedstore.testing.push_pull_suite import PushPullSuite
from feedstore.testing.queue_consumers_suite import QueueConsumersSuite
from feedstore.testing.queue_suite import QueueArgumentSuite, QueueSuite
from feedstore.testing.serializer_suite import SerializerSuite
from feedstore.testing.storage_suite import MetricsSuite, StorageSuite
from feedstore.testing.timeline_add_suite import TimelineAddArgumentSuite, TimelineAddSuite, TimelineRemoveSuite
from feedstore.testing.timeline_page_suite import TimelinePageArgumentSuite, TimelinePageSuite, TimelineWalkSuite
from feedstore.testing.timeline_position_suite import TimelinePositionArgumentSuite, TimelinePositionSuite
from feedstore.testing.timeline_slice_suite import ManySlicesSuite, TimelineSliceArgumentSuite, TimelineSliceSuite
from feedstore.testing.timeline_trim_suite import TimelineFloorSuite, TimelineTrimArgumentSuite, TimelineTrimSuite


class ActivityContract(ActivitySuite, ActivityIterationSuite):
    """The contract of activity storages."""


class TimelineContract(
    TimelineAddSuite,
    TimelineRemoveSuite,
    TimelineSliceSuite,
    ManySlicesSuite,
    TimelinePageSuite,
    TimelineWalkSuite,
    TimelineTrimSuite,
    TimelineFloorSuite,
    TimelinePositionSuite,
    FanOutSuite,
    DeliverySuite,
    MergeReadsSuite,
    ColumnsSuite,
    HydrateSuite,
):
    """The contract of timeline storages."""


class KvContract(KvSuite, KvValueSuite, KvConditionSuite, KvRangeSuite, KeySuite):
    """The contract of key-value storages, and of keys."""


class QueueContract(QueueSuite, QueueConsumersSuite):
    """The contract of queues."""


class NotifyContract(NotifySuite):
    """The contract of notifiers."""


class FeedContract(FeedSuite, AggregatedFeedSuite, NotificationFeedSuite, MergedFeedSuite):
    """The contract of feeds, which any backend that keeps the others keeps too."""


class GraphContract(FollowGraphSuite):
    """The contract of follow graphs, which any backend that keeps the others keeps too."""


class ManagerContract(ManagerSuite, PushPullSuite):
    """The contract of feed managers, which any backend that keeps the others keeps too."""


class DocumentContract(DocumentSuite, DocumentSearchSuite):
    """The contract of document storages, for a backend with the ability ``documents``."""


class StoreContract(
    ActivityContract,
    TimelineContract,
    KvContract,
    QueueContract,
    NotifyContract,
    FeedContract,
    GraphContract,
    ManagerContract,
    MetricsSuite,
    SerializerSuite,
    BatchSuite,
    AtomicBatchSuite,
    BackendSuite,
    CollectionSuite,
    ThreadSuite,
    ForkSuite,
    ProcessSuite,
    DocumentAbilitySuite,
):
    """The part of the contract that the hooks of a backend decide."""


class ArgumentContract(
    ActivityArgumentSuite,
    TimelineAddArgumentSuite,
    TimelineSliceArgumentSuite,
    TimelinePageArgumentSuite,
    TimelinePositionArgumentSuite,
    TimelineTrimArgumentSuite,
    FanOutArgumentSuite,
    DeliveryArgumentSuite,
    HydrateArgumentSuite,
    KeyArgumentSuite,
    KvArgumentSuite,
    KvCodecSuite,
    QueueArgumentSuite,
    NotifyArgumentSuite,
    BatchArgumentSuite,
    CollectionArgumentSuite,
    FeedArgumentSuite,
    AggregatedFeedArgumentSuite,
    NotificationFeedArgumentSuite,
    StorageSuite,
):
    """The part of the contract that the storages decide before they call a hook: arguments, options, codecs.

    A backend that overrides no public method of the storages cannot break it.
    """


class BackendContract(StoreContract, ArgumentContract):
    """The whole contract of a backend. Inherit it, and provide the fixture ``open_backend``."""


class RepositoryContract(PartRepositorySuite, ConnectionRepositorySuite, ChannelRepositorySuite):
    """The contract of a channel repository and of its part repositories. Inherit it, and provide the fixture
    ``open_channels``: a callable that creates the channel repository, on one store that was empty before the test.
    """


class PubsubCacheContract(PubsubCacheSuite, PubsubUpdateSuite):
    """The contract of pubsub caches on a backend with documents. Provide the fixture ``open_backend``."""


class WholeDocumentContract(DocumentContract, DocumentArgumentSuite):
    """The contract of document storages with the refusals of arguments, which no hook decides."""
