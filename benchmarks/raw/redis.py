"""The hand-written side with redis-py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import redis
from hiredis import pack_command

from benchmarks.side import Side
from benchmarks.workloads import MAX_PER_PAYLOAD, payload_of
from feedstore import Activity, ActivityRef
from feedstore.activity import references_to
from feedstore.ids import ID_BYTES
from feedstore.serializers import MsgpackSerializer

_ACTIVITIES = "activities"
_FAN_OUT = """
    local call, ids, surplus = redis.call, {}, string.format('%d', -(ARGV[1] + 1))
    for i = 2, #ARGV do
        ids[2 * i - 3] = '0'
        ids[2 * i - 2] = ARGV[i]
    end
    for i = 1, #KEYS do
        call('ZADD', KEYS[i], unpack(ids))
        call('ZREMRANGEBYRANK', KEYS[i], '0', surplus)
    end
"""
_PUBLISH = """
    local call, surplus = redis.call, string.format('%d', -(ARGV[1] + 1))
    call('HSET', KEYS[1], ARGV[2], ARGV[3])
    for i = 2, #KEYS do
        call('ZADD', KEYS[i], '0', ARGV[2])
        call('ZREMRANGEBYRANK', KEYS[i], '0', surplus)
    end
"""
_PAYLOADS = "payloads"
_PUBLISH_WITH_PAYLOAD = f"""
    local call, id, payload, payloads = redis.call, ARGV[2], ARGV[4], {{}}
    local surplus, most = string.format('%d', -(ARGV[1] + 1)), '{-(MAX_PER_PAYLOAD + 1)}'
    call('HSET', KEYS[1], id, ARGV[3])
    call('HSET', KEYS[2], id, payload)
    local function drop_from_companions(key, dropped)
        for i = 5, #ARGV do
            call('ZREM', key .. ARGV[i], unpack(dropped))
        end
    end
    for i = 3, #KEYS do
        local key = KEYS[i]
        if call('ZADD', key, '0', id) == 1 then
            local same = key .. '=' .. payload
            call('ZADD', same, '0', id)
            for j = 5, #ARGV do
                call('ZADD', key .. ARGV[j], '0', id)
            end
            local dropped = call('ZRANGE', same, '0', most)
            if dropped[1] then
                call('ZREM', same, unpack(dropped))
                call('ZREM', key, unpack(dropped))
                drop_from_companions(key, dropped)
            end
            dropped = call('ZRANGE', key, '0', surplus)
            if dropped[1] then
                call('ZREM', key, unpack(dropped))
                for j = 1, #dropped do
                    local one = dropped[j]
                    payloads[one] = payloads[one] or call('HGET', KEYS[2], one)
                    call('ZREM', key .. '=' .. payloads[one], one)
                end
                drop_from_companions(key, dropped)
            end
        end
    end
"""
_NEWEST_HYDRATED = """
    local ids = redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1)
    return {ids, redis.call('HMGET', KEYS[2], unpack(ids))}
"""
_MOST_ARGUMENTS = 4000


class RawRedisSide(Side):
    """One connection for everything, hiredis, sorted sets of ids with the score 0, all activities in one hash, scripts.

    Tried and slower for the same work: redis-py's commands instead of its connection (newest 25 1.3 to 1.5 times the
    time), a string for each activity (more memory), ``ZCARD`` before a trim, ``ZPOPMIN`` instead of
    ``ZREMRANGEBYRANK``, one script for each timeline (2.4 times), a pipeline without scripts (3 times), numbers instead
    of strings as the arguments of a script's calls (1.2 times for one id), redis-py's function to pack commands (ten
    times for the keys of a fan-out).
    """

    def __init__(self, socket: str, database: int) -> None:
        self._serializer = MsgpackSerializer()
        self._client = redis.Redis(unix_socket_path=socket, db=database, protocol=2)
        self._connection = self._client.connection_pool.get_connection()
        self._fan_out = self._load(_FAN_OUT)
        self._publish = self._load(_PUBLISH)
        self._publish_with_payload = self._load(_PUBLISH_WITH_PAYLOAD)
        self._newest_hydrated = self._load(_NEWEST_HYDRATED)

    def _load(self, script: str) -> str:
        sha: bytes = self._ask("SCRIPT", "LOAD", script)
        return sha.decode()

    def _ask(self, *words: Any) -> Any:
        connection: Any = self._connection
        connection.send_packed_command([pack_command(words)], check_health=False)
        return connection.read_response()

    def add_activities(self, activities: Sequence[Activity]) -> None:
        dumps = self._serializer.dumps
        fields: list[bytes] = []
        for activity in activities:
            fields += (activity.serialization_id.to_bytes(ID_BYTES, "big"), dumps(activity))
        self._ask("HSET", _ACTIVITIES, *fields)

    def add_many(self, key: str, activities: Sequence[Activity]) -> None:
        self.add_ids(key, [activity.serialization_id for activity in activities])

    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        scored: list[object] = []
        for activity_id in activity_ids:
            scored += (0, activity_id.to_bytes(ID_BYTES, "big"))
        self._ask("ZADD", key, *scored)

    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        ids = [activity.serialization_id.to_bytes(ID_BYTES, "big") for activity in activities]
        for first in range(0, len(ids), _MOST_ARGUMENTS // 2):
            part = ids[first : first + _MOST_ARGUMENTS // 2]
            self._ask("EVALSHA", self._fan_out, len(keys), *keys, max_length, *part)

    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        activity_id, data = activity.serialization_id.to_bytes(ID_BYTES, "big"), self._serializer.dumps(activity)
        self._ask("EVALSHA", self._publish, len(keys) + 1, _ACTIVITIES, *keys, max_length, activity_id, data)

    def add_with_payloads(self, keys: Sequence[str], activities: Sequence[Activity]) -> None:
        by_payload: defaultdict[bytes, list[object]] = defaultdict(list)
        for activity in activities:
            activity_id, payload = activity.serialization_id.to_bytes(ID_BYTES, "big"), payload_of(activity)
            self._ask("HSET", _PAYLOADS, activity_id, payload)
            by_payload[payload] += (0, activity_id)
        for key in keys:
            for payload, scored in by_payload.items():
                self._ask("ZADD", key, *scored)
                self._ask("ZADD", f"{key}=".encode() + payload, *scored)

    def publish_with_payload(
        self, activity: Activity, keys: Sequence[str], max_length: int, companions: Sequence[str]
    ) -> None:
        touched = (_ACTIVITIES, _PAYLOADS, *keys)
        activity_id, data = activity.serialization_id.to_bytes(ID_BYTES, "big"), self._serializer.dumps(activity)
        arguments = (max_length, activity_id, data, payload_of(activity), *companions)
        self._ask("EVALSHA", self._publish_with_payload, len(touched), *touched, *arguments)

    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        from_bytes = int.from_bytes
        return references_to([from_bytes(data, "big") for data in self._ask("ZREVRANGE", key, 0, limit - 1)])

    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        loads, from_bytes = self._serializer.loads, int.from_bytes
        ids, activities = self._ask("EVALSHA", self._newest_hydrated, 2, key, _ACTIVITIES, limit)
        pairs = zip(ids, activities, strict=True)
        return [loads(data, from_bytes(activity_id, "big")) for activity_id, data in pairs if data is not None]

    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        page = self._ask("ZREVRANGE", key, 0, limit - 1)
        references = references_to([int.from_bytes(data, "big") for data in page])
        while len(page) == limit:
            page = self._ask("ZREVRANGEBYLEX", key, b"(" + page[-1], "-", "LIMIT", 0, limit)
            references += references_to([int.from_bytes(data, "big") for data in page])
        return references

    def index_of(self, key: str, activity_id: int) -> int:
        index: int = self._ask("ZREVRANK", key, activity_id.to_bytes(ID_BYTES, "big"))
        return index

    def contains(self, key: str, activity_id: int) -> bool:
        return self._ask("ZSCORE", key, activity_id.to_bytes(ID_BYTES, "big")) is not None

    def count(self, key: str) -> int:
        length: int = self._ask("ZCARD", key)
        return length

    def stored_bytes(self) -> int:
        return used_bytes(self._client)

    def close(self) -> None:
        self._client.connection_pool.release(self._connection)
        self._client.close()


def used_bytes(client: redis.Redis) -> int:
    """Return the memory that a server has allocated for its data."""
    memory = client.info("memory")
    return int(memory["used_memory_dataset"])
