"""The questions that reads of timelines in Redis send to the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.records import AGAIN, check_whole, length_of_end
from feedstore.backends.redis.scripts import READ
from feedstore.backends.redis.session import RedisSession
from feedstore.storage.timeline_hooks import TimelineHooks

MOST_KEYS_A_TRIP = 1000
"""The most keys that one round trip asks about."""


class RedisTimelineQuestions(TimelineHooks):
    """Asking for the end of a timeline's string, and the script that reads."""

    session: RedisSession

    def _end_of(self, names: Keys, key: str, count: int) -> Command:
        """Return the command that reads the newest entries and the trailer."""
        bucket = names.bucket_of(key)
        return Command(names.tag(bucket), ("GETRANGE", names.timeline(bucket, key), -length_of_end(count), -1))

    def _ask_about(self, key: str, *words: Any) -> Any:
        """Return the answer of the reading script. Call it again with the side key of the timeline if it needs that."""
        names = self.session.keys()
        answer = self.session.store.ask(self._question(names, key, words))
        return self._answered(names, key, words, answer)

    def _answered(self, names: Keys, key: str, words: tuple[Any, ...], answer: Any) -> Any:
        if answer == AGAIN:
            answer = self.session.store.ask(self._question(names, key, words, with_side=True))
        check_whole(key, answer)
        return answer

    def _question(self, names: Keys, key: str, words: tuple[Any, ...], with_side: bool = False) -> Command:
        bucket = names.bucket_of(key)
        # On a Cluster, a script waits for a slot that moves if one of its keys does not exist.
        if with_side or self._reads_payloads or not names.is_spread:
            touched = names.of_timeline(bucket, key)[1:]
            return call_script(names.tag(bucket), READ, touched, (1, *words))
        return call_script(names.tag(bucket), READ, (names.timeline(bucket, key),), (0, *words))

    def _ask_about_many(self, keys: Sequence[str], words: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        """Yield each key and the script's answer for its timeline. One round trip for each 1,000 keys."""
        names = self.session.keys()
        for first in range(0, len(keys), MOST_KEYS_A_TRIP):
            part = keys[first : first + MOST_KEYS_A_TRIP]
            answers = self.session.store.send([self._question(names, key, words) for key in part])
            for key, answer in zip(part, answers, strict=True):
                yield key, self._answered(names, key, words, answer)

    def _present(self, keys: list[str]) -> list[str]:
        """Return the keys of the timelines that exist. One round trip for each 1,000."""
        names, present = self.session.keys(), []
        for first in range(0, len(keys), MOST_KEYS_A_TRIP):
            part = keys[first : first + MOST_KEYS_A_TRIP]
            ends = self.session.store.send([self._end_of(names, key, 0) for key in part])
            present += [key for key, end in zip(part, ends, strict=True) if end]
        return present
