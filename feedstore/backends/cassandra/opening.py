"""The opening of a store from a URL or a ready session."""

from __future__ import annotations

from typing import Any

from feedstore.backends.cassandra.address import check_keyspace, parse_address
from feedstore.backends.cassandra.driver import check_session, own_session
from feedstore.backends.cassandra.options import OPTIONS, read_options, settings_of
from feedstore.backends.cassandra.store import Store


def open_store(url: str, given: dict[str, Any]) -> tuple[Store, str]:
    """Return the store at a URL, which is not connected yet, and the namespace to use in it."""
    address = parse_address(url)
    options = read_options(address.query, given)
    connect = own_session(address, options)
    store = Store(connect, settings_of(options), address.keyspace, address.label, was_given=False)
    return store, options["namespace"]


def open_session(session: Any, keyspace: str | None, given: dict[str, Any]) -> tuple[Store, str]:
    """Return the store of a ready session, in a keyspace or the session's own, and the namespace to use in it."""
    check_session(session)
    OPTIONS.refuse_of_connection(given, "session")
    options = read_options({}, given)
    chosen = check_keyspace(session.keyspace if keyspace is None else keyspace)
    label = f"the given session, keyspace {chosen}"
    return Store(lambda: session, settings_of(options), chosen, label, was_given=True), options["namespace"]
