"""A node of the pubsub server in memory: its items in order, its access rules, and its pages (XEP-0059)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feedstore.errors import InvalidValueError, PubsubItemNotFound, PubsubServiceError
from feedstore.pubsub.values import RsmRequest, RsmResponse, ServiceItem, count_of
from feedstore.shown import shown
from feedstore.storage.documents import SubscriptionState

ACCESS_MODEL, PUBLISH_MODEL, MAX_ITEMS, PAYLOADS = (
    f"pubsub#{name}" for name in ("access_model", "publish_model", "max_items", "deliver_payloads")
)
DEFAULTS = {ACCESS_MODEL: "open", PUBLISH_MODEL: "publishers", MAX_ITEMS: "max", PAYLOADS: "1"}
"""The configuration of a new node."""
AFFILIATIONS = ("owner", "publisher", "member", "none", "outcast")
"""The relations of an account to a node (XEP-0060)."""
_MODELS = {ACCESS_MODEL: ("open", "whitelist", "authorize"), PUBLISH_MODEL: ("open", "publishers", "subscribers")}
_MEMBERS = ("owner", "publisher", "member")


@dataclass
class MemoryNode:
    """A node of the server in memory. The caller holds the server's lock.

    Attributes:
        name: the name of the node.
        configuration: the values by field.
        items: the items by id, in the order of their first publication.
        modified: the ids, in the order of their last publication.
        affiliations: the relations of accounts to the node.
        subscriptions: the states of the subscriptions by account.
    """

    name: str
    configuration: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    items: dict[str, ServiceItem] = field(default_factory=dict)
    modified: dict[str, None] = field(default_factory=dict)
    affiliations: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[str, SubscriptionState] = field(default_factory=dict)

    def configure(self, configuration: Mapping[str, Any]) -> None:
        """Change the named fields, and delete the oldest items beyond a smaller maximum."""
        whole = {**self.configuration, **configuration}
        for name, models in _MODELS.items():
            if whole[name] not in models:
                raise PubsubServiceError(
                    f"{name} must be one of {', '.join(models)}, not {shown(whole[name])}", "not-acceptable"
                )
        if whole[MAX_ITEMS] != "max" and count_of(str(whole[MAX_ITEMS])) is None:
            raise PubsubServiceError(
                f"{MAX_ITEMS} must be max or a number of items, not {shown(whole[MAX_ITEMS])}", "not-acceptable"
            )
        self.configuration = whole
        self._drop_oldest()

    def may_read(self, account: str) -> bool:
        """Return whether an account may read the items."""
        if self.affiliations.get(account) == "outcast":
            return False
        model = self.configuration[ACCESS_MODEL]
        is_approved = model == "authorize" and self.subscriptions.get(account) is SubscriptionState.SUBSCRIBED
        return model == "open" or self.is_member(account) or is_approved

    def is_member(self, account: str) -> bool:
        """Return whether the node's owner has listed an account as one that may read the items."""
        return self.affiliations.get(account) in _MEMBERS

    def require_reader(self, account: str) -> None:
        """Raise the error of XEP-0060 for an account that may not read the items."""
        if self.may_read(account):
            return
        if self.affiliations.get(account) == "outcast":
            condition = "forbidden"
        else:
            condition = "not-authorized" if self.configuration[ACCESS_MODEL] == "authorize" else "not-allowed"
        raise PubsubServiceError(f"{account} may not read the node {shown(self.name)}", condition)

    def require_owner(self, account: str) -> None:
        """Raise an error for an account that does not own the node."""
        if self.affiliations.get(account) != "owner":
            raise PubsubServiceError(f"{account} is no owner of the node {shown(self.name)}", "forbidden")

    def require_publisher(self, account: str) -> None:
        """Raise an error for an account that may not publish in the node."""
        affiliation, model = self.affiliations.get(account), self.configuration[PUBLISH_MODEL]
        is_subscriber = model == "subscribers" and self.subscriptions.get(account) is SubscriptionState.SUBSCRIBED
        is_allowed = affiliation in ("owner", "publisher") or model == "open" or is_subscriber
        if affiliation == "outcast" or not is_allowed:
            raise PubsubServiceError(f"{account} may not publish in the node {shown(self.name)}", "forbidden")

    def subscribe(self, account: str) -> SubscriptionState:
        """Add a subscription, and return its state."""
        state = self.subscriptions.get(account)
        if state is None:
            can_wait = self.configuration[ACCESS_MODEL] == "authorize" and account not in self.affiliations
            if not can_wait:
                self.require_reader(account)
            state = SubscriptionState.PENDING if can_wait else SubscriptionState.SUBSCRIBED
            self.subscriptions[account] = state
        return state

    def require_subscription(self, account: str) -> None:
        """Raise an error for an account without a subscription."""
        if account not in self.subscriptions:
            raise PubsubServiceError(
                f"{account} has no subscription to the node {shown(self.name)}", "unexpected-request"
            )

    def put(self, item_id: str, payload: bytes, publisher: str, time: datetime) -> ServiceItem:
        """Store an item, and return it. An item that exists keeps the time and place of its first publication."""
        old = self.items.get(item_id)
        item = ServiceItem(item_id, payload, publisher, time if old is None else old.published, time)
        self.items[item_id] = item
        self.modified.pop(item_id, None)
        self.modified[item_id] = None
        self._drop_oldest()
        return item

    def delete(self, item_ids: Sequence[str]) -> None:
        """Delete items. If one is missing, none is deleted."""
        missing = [one for one in item_ids if one not in self.items]
        if missing:
            raise PubsubItemNotFound(f"the node {shown(self.name)} has no items {shown(missing)}")
        for one in dict.fromkeys(item_ids):
            del self.items[one], self.modified[one]

    def purge(self) -> None:
        """Delete all items."""
        self.items.clear()
        self.modified.clear()

    def _drop_oldest(self) -> None:
        largest = self.configuration[MAX_ITEMS]
        if largest != "max":
            for one in list(self.modified)[: max(len(self.modified) - int(largest), 0)]:
                del self.items[one], self.modified[one]


def result_page(ids: Sequence[str], request: RsmRequest, largest: int) -> tuple[Sequence[str], RsmResponse, bool]:
    """Return the ids of a page, its place, and whether no id follows in the direction of the request.

    Args:
        ids: all ids, in order.
        request: the page to return.
        largest: the largest number of ids, also if the request does not limit it.

    Raises:
        PubsubItemNotFound: The id in ``after`` or ``before`` is not among ``ids``.

    >>> ids, place, complete = result_page(["i1", "i2", "i3"], RsmRequest(max=2, before=""), 10)
    >>> ids, place.index, place.count, complete
    (['i2', 'i3'], 1, 3, False)
    """
    number = largest if request.max is None else min(request.max, largest)
    start, end = 0, len(ids)
    if request.after is not None:
        start = _index_of(ids, request.after) + 1
    elif request.before:
        end = _index_of(ids, request.before)
    elif request.index is not None:
        start = min(request.index, len(ids))
    if request.before is None:
        end = min(start + number, end)
        complete = end == len(ids)
    else:
        start = max(end - number, 0)
        complete = start == 0
    chosen = ids[start:end]
    if not chosen:
        return chosen, RsmResponse(count=len(ids)), complete
    return chosen, RsmResponse(chosen[0], chosen[-1], start, len(ids)), complete


def check_affiliation(affiliation: str) -> None:
    """Check the name of an affiliation."""
    if affiliation not in AFFILIATIONS:
        raise InvalidValueError(f"affiliation must be one of {', '.join(AFFILIATIONS)}, not {shown(affiliation)}")


def _index_of(ids: Sequence[str], item_id: str) -> int:
    try:
        return ids.index(item_id)
    except ValueError:
        raise PubsubItemNotFound(f"the node has no item {shown(item_id)}, where the page would begin or end") from None
