"""Serializers, which turn activities into bytes and bytes into activities."""

from feedstore.serializers.aggregated import AggregatedActivitySerializer
from feedstore.serializers.base import Serializer
from feedstore.serializers.dummy import DummySerializer
from feedstore.serializers.json import JsonSerializer
from feedstore.serializers.msgpack import MsgpackSerializer
from feedstore.serializers.reference import TimelineReferenceSerializer

__all__ = [
    "AggregatedActivitySerializer",
    "DummySerializer",
    "JsonSerializer",
    "MsgpackSerializer",
    "Serializer",
    "TimelineReferenceSerializer",
]
