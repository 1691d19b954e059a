"""The policy of a manager with the stored state that it decides about: producers' modes and readers' visits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from feedstore.errors import AtomicityError, InvalidTypeError
from feedstore.fanout.feed_classes import FeedClasses
from feedstore.fanout.merged_feed import can_merge
from feedstore.fanout.policy import AlwaysPush, DeliveryPolicy, Producer
from feedstore.fanout.producer_modes import DeliveryMode, ModeState, ProducerModes
from feedstore.fanout.reader_visits import ReaderVisits
from feedstore.feeds import UserId
from feedstore.ids import first_id_at
from feedstore.shown import shown
from feedstore.storage import Backend

_DAY = timedelta(days=1)


class PushPull:
    """The decisions of a policy for the feeds of one manager.

    A producer goes from push to pull at its next activity, and entries that were pushed before stay in the feeds: a
    merged read returns each entry once. From pull it goes to settle: new activities are pushed, reads still pull, and a
    job delivers the activities of the time of pulling. When the job ends, the producer is pushed. A manager writes an
    activity to the producer's own feed before it asks for the mode, so either the fan-out or a read finds it.

    Attributes:
        pulled_feeds: The names of the feed classes whose reads pull: flat feeds that can be merged with user feeds.
            Activities are always pushed to the others.
        trimmed_feeds: The names of the feed classes that can be rebuilt for a reader: those with ``max_length``.
        settles: Whether a settlement can end: whether all ``pulled_feeds`` have ``max_length``.
    """

    def __init__(self, policy: DeliveryPolicy | None, backend: Backend, name: str, feeds: FeedClasses) -> None:
        self.policy = AlwaysPush() if policy is None else policy
        if not isinstance(self.policy, DeliveryPolicy):
            raise InvalidTypeError(f"policy must be a DeliveryPolicy, not {shown(policy)}")
        if policy is not None and not backend.abilities.conditional_writes:
            raise AtomicityError(f"{type(backend).__name__} has no conditional writes, which a policy needs; omit it")
        self.feeds = feeds
        self.backend = backend
        self.modes = None if policy is None else ProducerModes(backend, f"{name}-producers")
        inactive_after = self.policy.inactive_after
        self.visits = None if inactive_after is None else ReaderVisits(backend, f"{name}-visits", inactive_after)
        self.pulled_feeds = tuple(name for name, one in feeds.followers.items() if can_merge(one, feeds.user))
        self.trimmed_feeds = frozenset(name for name, one in feeds.followers.items() if one.max_length is not None)
        self.settles = self.trimmed_feeds.issuperset(self.pulled_feeds)

    def state_after_publishing(self, user: str, count_followers: Callable[[], int]) -> tuple[ModeState, bool]:
        """Ask the policy, store the mode of a producer if it changes, and return it; and whether it has changed.

        Call it after the activity was added to the producer's own feed.
        """
        if self.modes is None or not self.pulled_feeds:
            return ModeState(), False

        def decide(mode: DeliveryMode) -> DeliveryMode:
            is_pulled = mode is DeliveryMode.PULL
            if self.policy.pulls(Producer(user, is_pulled, count_followers, lambda: self._count_daily(user))):
                return DeliveryMode.PULL
            return DeliveryMode.SETTLE if is_pulled else mode

        return self.modes.update(user, decide)

    def pushed_feeds(self, mode: DeliveryMode, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of some feed classes to which the activities of a producer are pushed."""
        if mode is not DeliveryMode.PULL:
            return tuple(names)
        return tuple(name for name in names if name not in self.pulled_feeds)

    def leaves_out(self, feed: str) -> bool:
        """Return whether deliveries to a feed class leave out inactive readers."""
        return self.visits is not None and feed in self.trimmed_feeds

    def active(self, readers: Sequence[UserId]) -> set[str]:
        """Return the active ones of some readers, as strs. A bounded number of round trips."""
        if self.visits is None:
            return set(map(str, readers))
        return set(map(str, self.visits.active_among(readers, self.now())))

    def now(self) -> datetime:
        """Return the current time."""
        return datetime.now(timezone.utc)

    def _count_daily(self, user: str) -> int:
        own: Any = self.feeds.user(user, self.backend)
        since = first_id_at(self.now() - _DAY)
        return int(own.timelines.count(own.key, {"activity_id__gte": since}))
