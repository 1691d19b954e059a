"""All suites in one class."""

from __future__ import annotations

from feedstore.testing.activity_suite import ActivityIterationSuite, ActivitySuite
from feedstore.testing.backend_suite import BackendSuite
from feedstore.testing.batch_suite import AtomicBatchSuite, BatchSuite
from feedstore.testing.channel_repository_suite import ChannelRepositorySuite
from feedstore.testing.collection_suite import CollectionSuite
from feedstore.testing.concurrency_suite import ForkSuite, ProcessSuite, ThreadSuite
from feedstore.testing.connection_repository_suite import ConnectionRepositorySuite
from feedstore.testing.delivery_suite import DeliverySuite, MergeReadsSuite
from feedstore.testing.fan_out_suite import FanOutSuite
from feedstore.testing.hydrate_suite import HydrateSuite
from feedstore.testing.key_suite import KeySuite
from feedstore.testing.kv_condition_suite import KvConditionSuite, KvRangeSuite
from feedstore.testing.kv_suite import KvSuite
from feedstore.testing.kv_value_suite import KvValueSuite
from feedstore.testing.notify_suite import NotifySuite
from feedstore.testing.part_repository_suite import PartRepositorySuite
from feedstore.testing.queue_consumers_suite import QueueConsumersSuite
from feedstore.testing.queue_suite import QueueSuite
from feedstore.testing.serializer_suite import SerializerSuite
from feedstore.testing.storage_suite import MetricsSuite, StorageSuite
from feedstore.testing.timeline_add_suite import TimelineAddSuite, TimelineRemoveSuite
from feedstore.testing.timeline_page_suite import TimelinePageSuite, TimelineWalkSuite
from feedstore.testing.timeline_position_suite import TimelinePositionSuite
from feedstore.testing.timeline_slice_suite import ManySlicesSuite, TimelineSliceSuite
from feedstore.testing.timeline_trim_suite import TimelineFloorSuite, TimelineTrimSuite


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
    HydrateSuite,
):
    """The contract of timeline storages."""


class KvContract(KvSuite, KvValueSuite, KvConditionSuite, KvRangeSuite, KeySuite):
    """The contract of key-value storages, and of keys."""


class QueueContract(QueueSuite, QueueConsumersSuite):
    """The contract of queues."""


class NotifyContract(NotifySuite):
    """The contract of notifiers."""


class BackendContract(
    ActivityContract,
    TimelineContract,
    KvContract,
    QueueContract,
    NotifyContract,
    StorageSuite,
    MetricsSuite,
    SerializerSuite,
    BatchSuite,
    AtomicBatchSuite,
    BackendSuite,
    CollectionSuite,
    ThreadSuite,
    ForkSuite,
    ProcessSuite,
):
    """The whole contract of a backend. Inherit it, and provide the fixture ``open_backend``."""


class RepositoryContract(PartRepositorySuite, ConnectionRepositorySuite, ChannelRepositorySuite):
    """The contract of a channel repository and of those behind it. Inherit it, and provide the fixture
    ``open_channels``: a callable that makes the channel repository, on one store that was empty before the test.
    """
