"""The hand-written side with redis-py, whose timelines are strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.raw.redis import RawRedisSide
from feedstore import Activity, ActivityRef
from feedstore.activity import references_to
from feedstore.ids import ID_BYTES

# A string of ids, oldest first. The trimmed ids stay in front until they are a fifth of the string.
_FAN_OUT = """
    local call, most = redis.call, tonumber(ARGV[1])
    local first, kept, records = ARGV[2], string.format('%d', -16 * ARGV[1]), table.concat(ARGV, '', 2)
    local function merge(key, text)
        local ids, seen = {}, {}
        for i = 1, #text, 16 do
            ids[#ids + 1] = string.sub(text, i, i + 15)
            seen[ids[#ids]] = true
        end
        for i = 2, #ARGV do
            if not seen[ARGV[i]] then
                ids[#ids + 1] = ARGV[i]
            end
        end
        table.sort(ids)
        call('SET', key, table.concat(ids, '', math.max(1, #ids - most + 1)))
    end
    for i = 1, #KEYS do
        local key = KEYS[i]
        if call('GETRANGE', key, '-16', '-1') < first then
            if call('APPEND', key, records) > 20 * most then
                call('SET', key, call('GETRANGE', key, kept, '-1'))
            end
        else
            merge(key, call('GETRANGE', key, kept, '-1'))
        end
    end
"""
_PUBLISH = "redis.call('HSET', table.remove(KEYS, 1), ARGV[2], table.remove(ARGV))" + _FAN_OUT
_NEWEST_HYDRATED = """
    local text, ids = redis.call('GETRANGE', KEYS[1], -16 * ARGV[1], '-1'), {}
    for i = 1, #text / 16 do
        ids[i] = string.sub(text, i * 16 - 15, i * 16)
    end
    return {text, redis.call('HMGET', KEYS[2], unpack(ids))}
"""
_MOST_IDS = 4000


class RawRedisStringsSide(RawRedisSide):
    """As :class:`RawRedisSide`, with a string of sorted ids for each timeline without payloads.

    The caller knows the greatest length of its timelines, which no key holds. Ids are compared in the server's locale.
    A timeline with payloads is a sorted set.
    """

    def __init__(self, socket: str, database: int) -> None:
        super().__init__(socket, database)
        self._fan_out = self._load(_FAN_OUT)
        self._publish = self._load(_PUBLISH)
        self._hydrated_strings = self._load(_NEWEST_HYDRATED)
        self._lengths: dict[str, int] = {}

    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        ids = [activity_id.to_bytes(ID_BYTES, "big") for activity_id in sorted(set(activity_ids))]
        for first in range(0, len(ids), _MOST_IDS):
            self._ask("EVALSHA", self._fan_out, 1, key, 10**9, *ids[first : first + _MOST_IDS])
        self._lengths.setdefault(key, 10**9)

    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        self._lengths.update(dict.fromkeys(keys, max_length))
        ids = sorted(activity.serialization_id.to_bytes(ID_BYTES, "big") for activity in activities)
        for first in range(0, len(ids), _MOST_IDS):
            part = ids[first : first + _MOST_IDS]
            self._ask("EVALSHA", self._fan_out, len(keys), *keys, max_length, *part)

    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        self._lengths.update(dict.fromkeys(keys, max_length))
        super().publish(activity, keys, max_length)

    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        if key not in self._lengths:
            return super().newest(key, limit)
        return references_to(_ids_in(self._ask("GETRANGE", key, -ID_BYTES * limit, -1) if limit else b"")[::-1])

    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        if key not in self._lengths:
            return super().newest_hydrated(key, limit)
        loads = self._serializer.loads
        text, activities = self._ask("EVALSHA", self._hydrated_strings, 2, key, "activities", limit)
        pairs: Any = zip(_ids_in(text), activities, strict=True)
        return [loads(data, activity_id) for activity_id, data in pairs if data is not None][::-1]

    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        count, ids = self.count(key), list[int]()
        for last in range(0, count, limit):
            first = min(last + limit, count)
            ids += _ids_in(self._ask("GETRANGE", key, -ID_BYTES * first, -ID_BYTES * last - 1))[::-1]
        return references_to(ids)

    def index_of(self, key: str, activity_id: int) -> int:
        text: bytes = self._ask("GETRANGE", key, 0, -1)
        return (len(text) - text.find(activity_id.to_bytes(ID_BYTES, "big"))) // ID_BYTES - 1

    def contains(self, key: str, activity_id: int) -> bool:
        return activity_id.to_bytes(ID_BYTES, "big") in self._ask("GETRANGE", key, 0, -1)

    def count(self, key: str) -> int:
        if key not in self._lengths:
            return super().count(key)
        held: int = self._ask("STRLEN", key) // ID_BYTES
        return min(held, self._lengths[key])


def _ids_in(text: bytes) -> list[int]:
    """Return the ids in a string of records."""
    from_bytes = int.from_bytes
    return [from_bytes(text[first : first + ID_BYTES], "big") for first in range(0, len(text), ID_BYTES)]
