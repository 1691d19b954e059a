"""The manager of an application's feeds."""

from __future__ import annotations

from feedstore.fanout.deliveries import Deliveries
from feedstore.fanout.publishing import Publishing


class FeedManager(Publishing, Deliveries):
    """The manager of an application's feeds: it publishes activities, and keeps the feeds of followers.

    A manager has no state but its arguments, so threads share it. Subclass it, or pass the attributes as arguments:
    ``feed_classes``, ``user_feed_class``, ``target_feed_classes``, ``fanout_chunk_size``, ``follow_activity_limit``,
    ``include_actor`` and ``index_objects``.

    Args:
        backend: the backend.
        graph: the follow graph, by default ``FollowGraph(backend)``; or a function of the application that takes a
            user and returns the followers, or a mapping of them by priority. With a function, ``follow_user`` and
            ``unfollow_user`` change feeds only.
        executor: the carrier of the jobs of a fan-out, by default :class:`InlineExecutor`.
        policy: the policy that decides which producers are pushed, and to which readers; by default all,
            to all. Pass the same in every process.
        name: the name of the manager, which its jobs and the collections of its records carry.

    >>> from feedstore import Activity, connect
    >>> manager = FeedManager(connect("memory://"))
    >>> post = Activity("ann", "post", "photo:7")
    >>> manager.add_user_activity("ann", post), manager.follow_user("bob", "ann")
    (True, True)
    >>> manager.get_feeds("bob")["normal"][:25] == [post]
    True
    >>> manager.unfollow_user("bob", "ann"), manager.get_feeds("bob")["normal"][:25]
    (True, [])
    """
