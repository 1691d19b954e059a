"""One call of each part of a backend."""

from __future__ import annotations

from feedstore import Activity
from feedstore.storage import Backend
from feedstore.testing.notify_suite import Received


def use_everything(backend: Backend) -> None:
    """Call each part of a backend, and check the answers."""
    use_storages(backend)
    use_queue_and_notifier(backend)


def use_storages(backend: Backend) -> None:
    """Write to each kind of storage, and read from it."""
    timelines, activities, items = backend.timeline_storage(), backend.activity_storage(), backend.kv_storage()
    like = Activity("ann", "like", "photo:7")
    assert activities.add(like) == 1
    assert timelines.add_to_many(["a", "b"], [1, 2, like], max_length=2) == 6
    assert timelines.contains("a", 2) is True
    assert (timelines.index_of("a", 2), timelines.count("a")) == (1, 2)
    assert timelines.get_slice("a", 0, 9, hydrate_from=activities) == [like]
    assert timelines.get_page("b", 9).floor == 2
    assert sorted(timelines.keys()) == ["a", "b"]
    items.upsert("pi", 3.5)
    assert list(items.items()) == [("pi", 3.5)]
    assert list(activities.iterate()) == [like]


def use_queue_and_notifier(backend: Backend) -> None:
    """Push a message and receive it; subscribe to a timeline and receive its change."""
    queue, received = backend.queue("q"), Received()
    queue.push("hello")
    receipt, message = queue.receive()
    assert (message, queue.count(), queue.ack(receipt)) == ("hello", 1, True)
    with backend.notifier().subscribe(received) as subscription:
        # A channel that is still subscribed to from an earlier call brings no first notification.
        subscription.add(["a"])
        backend.notifier().publish(["a"])
        received.wait_for("a")
