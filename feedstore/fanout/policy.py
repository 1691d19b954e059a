"""Policies: which producers' activities are pushed to the feeds of their followers, and to which readers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.forks import unlocked_property
from feedstore.shown import shown
from feedstore.storage.checks import check_limit, check_position

_KEPT_SHARE = 0.8
_SHORTEST_ABSENCE = timedelta(minutes=1)


class Producer:
    """A user or thing that publishes, as a policy sees it. A number that a policy does not read costs nothing.

    Attributes:
        user_id: The user or thing.
        is_pulled: Whether its activities are pulled at present.
    """

    def __init__(
        self, user_id: str, is_pulled: bool, count_followers: Callable[[], int], count_daily: Callable[[], int]
    ) -> None:
        self.user_id = user_id
        self.is_pulled = is_pulled
        self._count_followers = count_followers
        self._count_daily = count_daily

    @unlocked_property
    def followers(self) -> int:
        """The number of followers. One round trip."""
        return self._count_followers()

    @unlocked_property
    def daily_activities(self) -> int:
        """The number of activities in its own feed with a time in the last 24 hours. One round trip."""
        return self._count_daily()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.user_id!r}, is_pulled={self.is_pulled})"


class DeliveryPolicy(ABC):
    """A decision for each producer: push its activities to the feeds of its followers, or let their reads pull them.

    A manager asks the policy when a producer publishes. Return the present state between two thresholds, so that a
    producer that hovers around one threshold does not change with each activity.

    Args:
        inactive_after: The time without a visit after which the activities of followed producers are no longer
            delivered to a reader; the next visit rebuilds the reader's feeds. None: all readers receive them.
    """

    def __init__(self, *, inactive_after: timedelta | None = None) -> None:
        if inactive_after is not None:
            if not isinstance(inactive_after, timedelta):
                raise InvalidTypeError(f"inactive_after must be a timedelta or None, not {shown(inactive_after)}")
            if inactive_after < _SHORTEST_ABSENCE:
                raise InvalidValueError(f"inactive_after must be at least a minute, not {inactive_after}")
        self.inactive_after = inactive_after

    @abstractmethod
    def pulls(self, producer: Producer) -> bool:
        """Return whether the activities of a producer are pulled."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class AlwaysPush(DeliveryPolicy):
    """The policy that pushes all activities. With ``inactive_after`` it leaves out inactive readers.

    A producer that another policy pulled settles with its next activity. A manager without a policy pushes too, and
    stores and reads no modes: pass this one if there ever was another.
    """

    def pulls(self, producer: Producer) -> bool:
        """Return False."""
        return False


class PullByFollowers(DeliveryPolicy):
    """The policy that pulls the activities of producers with many followers.

    Args:
        pull_from: The number of followers from which on a producer is pulled.
        push_below: The number of followers below which it is pushed again; by default 80 % of ``pull_from``,
            and at least 1. With 0, a producer that was pulled stays so.
        inactive_after: As for every policy.

    >>> policy = PullByFollowers(10_000)
    >>> [policy.pulls(Producer("ann", is_pulled, lambda: 9_000, lambda: 5)) for is_pulled in (False, True)]
    [False, True]
    """

    def __init__(
        self, pull_from: int, push_below: int | None = None, *, inactive_after: timedelta | None = None
    ) -> None:
        super().__init__(inactive_after=inactive_after)
        self.pull_from = check_limit("pull_from", pull_from)
        self.push_below = (
            max(1, int(pull_from * _KEPT_SHARE)) if push_below is None else check_position("push_below", push_below)
        )
        if self.push_below > self.pull_from:
            raise InvalidValueError(f"push_below must be at most pull_from, {pull_from}, not {push_below}")

    def pulls(self, producer: Producer) -> bool:
        """Return whether the producer has reached the threshold of its present state."""
        return self._load_of(producer) >= (self.push_below if producer.is_pulled else self.pull_from)

    def _load_of(self, producer: Producer) -> int:
        return producer.followers


class PullByDeliveries(PullByFollowers):
    """The policy that pulls the activities of producers that cause many deliveries a day: followers times activities.

    A star that posts once a week is pushed, and a bot with a thousand followers that posts each second is pulled. The
    arguments are those of :class:`PullByFollowers`, in deliveries a day.
    """

    def _load_of(self, producer: Producer) -> int:
        return producer.followers * producer.daily_activities
