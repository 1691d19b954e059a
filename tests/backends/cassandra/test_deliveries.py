"""The requests of deliveries with limits, and the effects of failures and races."""

from __future__ import annotations

from typing import Any

import pytest

from feedstore.activity import Activity
from feedstore.backends.cassandra import CassandraBackend
from feedstore.errors import StorageError
from feedstore.storage import Backend
from feedstore.testing.delivery_suite import GroupSerializer, by
from feedstore.testing.samples import ids_of
from stores import OpenBackend

pytestmark = pytest.mark.parametrize("backend_kind", ["cassandra"])


def numbered(ids: range, payloads: int) -> list[Activity]:
    """Return activities whose payloads are so many numbers in turn."""
    return [activity for one in ids for activity in by(f"p{one % payloads}", one)]


def test_all_timelines_are_read_together(backend: Backend, sent: list[Any]) -> None:
    """T21: one read for each 25 timelines, and as many writes as they need, however many the companions."""
    timelines = backend.timeline_storage()
    timelines.add_to_many(["warm"], [1], companions=[":unseen", ":unread"])
    del sent[:]
    keys = [f"key{number}" for number in range(100)]
    timelines.add_to_many(keys, [1], companions=[":unseen", ":unread"])
    reads = [one for one in sent if "SELECT timeline, id" in _text(one)]
    assert len(reads) == 4
    assert len(sent) < 20
    assert timelines.count("key99:unread") == 1


def test_a_timeline_with_many_payloads_is_read_once(backend: Backend, sent: list[Any]) -> None:
    """T20: up to four payloads are searched for by the servers."""
    groups = backend.timeline_storage(serializer_class=GroupSerializer)
    for payloads, searches, whole in ((4, 4, 0), (5, 0, 1)):
        del sent[:]
        groups.add_to_many(["a", "b"], numbered(range(payloads), payloads), max_per_payload=1)
        assert sum("ALLOW FILTERING" in _text(one) for one in sent) == searches
        assert sum(_text(one).endswith("timeline IN ?") for one in sent) == whole
    assert groups.count("a") == groups.count("b") == 5


def test_many_payloads_keep_their_newest(backend: Backend) -> None:
    """T20: also where a timeline is read as a whole, and where an id gets another payload."""
    groups = backend.timeline_storage(serializer_class=GroupSerializer)
    groups.add_many("a", numbered(range(24), 6))
    groups.add_to_each({"a": [*by("p0", 23), *numbered(range(24, 30), 6)]}, max_per_payload=2)
    found: dict[str, list[int]] = {}
    for one, payload in groups.get_slice("a", 0, None):
        found.setdefault(payload, []).append(one)
    assert found == {
        **{f"p{number}": [24 + number, 18 + number] for number in range(1, 5)},
        "p0": [24, 23],
        "p5": [29, 17],
    }


def test_a_trim_reaches_the_companions(open_backend: OpenBackend) -> None:
    """T21: a trim removes the dropped entries from the companions too. Entries that only a companion has stay, and so
    does its floor.
    """
    first = open_backend()
    timelines = first.timeline_storage()
    timelines.add_to_many(["a", "b"], range(0, 40, 2), companions=[":unseen"])
    timelines.add("b:unseen", 5)
    # A process that meets timelines for the first time trims them.
    second = open_backend(first.namespace).timeline_storage()
    second.add_to_many(["a", "b"], [40], max_length=10, companions=[":unseen"])
    newest = list(range(40, 20, -2))
    assert ids_of(second.get_slice("a", 0, None)) == ids_of(second.get_slice("a:unseen", 0, None)) == newest
    assert ids_of(second.get_slice("b:unseen", 0, None)) == [*newest, 5]
    assert second.get_page("a", 20).floor == 21
    assert second.get_page("a:unseen", 20).floor is None


def test_a_delivery_that_failed_midway_reaches_companions_when_it_is_repeated(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T21: the companions are written first, so an entry is never there already without having reached them."""
    assert isinstance(backend, CassandraBackend)
    timelines = backend.timeline_storage()
    write_now = backend.session.store.write_now
    carried_out: list[str] = []

    def fail_the_second(writes: Any) -> None:
        if carried_out:
            raise StorageError("no answer")
        carried_out.append("first")
        write_now(writes)

    with monkeypatch.context() as patch:
        patch.setattr(backend.session.store, "write_now", fail_the_second)
        with pytest.raises(StorageError):
            timelines.add_to_many(["a"], [1, 2], companions=[":unseen"])
    assert timelines.count("a") == 0
    timelines.add_to_many(["a"], [1, 2], companions=[":unseen"])
    assert timelines.count("a") == timelines.count("a:unseen") == 2


def test_a_surplus_that_is_added_meanwhile_stays(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """T20: a removal is older than the read that it follows from."""
    assert isinstance(backend, CassandraBackend)
    groups = backend.timeline_storage(serializer_class=GroupSerializer)
    groups.add_many("a", by("ann", 1, 2))
    fetch_all = backend.session.store.fetch_all

    def fetch_and_add(*arguments: Any) -> Any:
        found = fetch_all(*arguments)
        monkeypatch.setattr(backend.session.store, "fetch_all", fetch_all)
        groups.add_many("a", by("bob", 1))
        return found

    monkeypatch.setattr(backend.session.store, "fetch_all", fetch_and_add)
    groups.add_to_many(["a"], by("ann", 3), max_per_payload=1)
    assert groups.get_slice("a", 0, None) == [(3, "ann"), (1, "bob")]


def test_pages_of_many_timelines_take_two_trips_at_most(backend: Backend, sent: list[Any]) -> None:
    """T18: the same request reads the floors. If there are no entries after the cursor, one more request reads them."""
    timelines = backend.timeline_storage()
    keys = ["long", "trimmed", "emptied", "never"]
    for key in keys[:3]:
        timelines.add_many(key, [1, 2, 3, 4])
    timelines.trim("trimmed", 2)
    timelines.trim("emptied", 0)
    cursor = timelines.get_page("long", 2).next_cursor
    for position, requests in ((None, 1), (cursor, 2)):
        del sent[:]
        pages = timelines.get_many_pages(keys, 2, position)
        assert len(sent) == requests
        assert pages == {key: timelines.get_page(key, 2, position) for key in keys}
    assert [page.floor for page in pages.values()] == [None, 3, 5, None]


def _text(statement: Any) -> str:
    prepared = getattr(statement, "prepared_statement", None)
    return "" if prepared is None else str(prepared.query_string)
