"""The calls of document storages on nodes and their synchronisation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Unpack

from feedstore.errors import InvalidTypeError
from feedstore.shown import shown
from feedstore.storage.batch import WriteBatch
from feedstore.storage.documents.checks import (
    check_filter,
    check_long_text,
    check_node_fields,
    check_node_key,
    check_states,
    check_text,
    check_time,
)
from feedstore.storage.documents.hooks import Claim, DocumentHooks
from feedstore.storage.documents.query import DocumentFilter, check_results
from feedstore.storage.documents.values import (
    DocumentNode,
    NodeFields,
    NodeKey,
    NodeSubscription,
    SubscriptionState,
    SyncState,
)


class NodeCalls(DocumentHooks):
    """The public calls on nodes, subscriptions, and the states of synchronisations."""

    def add_node(self, key: NodeKey, **fields: Unpack[NodeFields]) -> tuple[DocumentNode, bool]:
        """Add a node unless it exists, and return it with whether this call added it (D1).

        Of concurrent calls in any processes, one adds the node and all return it. A node that existed is returned as it
        is. The call joins no batch. Two round trips.

        Args:
            key: The key.
            fields: The fields of :class:`DocumentNode` besides the key.
        """
        return self._add_node(check_node_key(key), check_node_fields(fields)).result

    def get_node(self, key: NodeKey) -> DocumentNode | None:
        """Return a node, or None. One round trip."""
        return self._get_node(check_node_key(key))

    def nodes(
        self,
        where: DocumentFilter | None = None,
        *,
        states: Iterable[SyncState | None] | None = None,
        after: NodeKey | None = None,
        limit: int = 1000,
    ) -> list[DocumentNode]:
        """Return up to ``limit`` nodes of a filter in the order of account, service and name. One round trip.

        Args:
            where: The filter; its times must be None, because they concern documents.
            states: The states of the synchronisation. None in the list stands for nodes without a state.
            after: The key after which the result begins: the last one of the call before.
            limit: The greatest number of nodes, 1 to 10,000.
        """
        checked_states = None if states is None else check_states(states)
        start = None if after is None else check_node_key(after)
        return self._nodes(check_filter(where, for_nodes=True), checked_states, start, check_results("limit", limit))

    def update_node(
        self,
        key: NodeKey,
        *,
        state_is: Iterable[SyncState | None] | None = None,
        sync_token_is: str | None = None,
        batch_interface: WriteBatch | None = None,
        **fields: Unpack[NodeFields],
    ) -> bool | None:
        """Set fields of a node, and return whether they were set; None inside a batch. One round trip.

        A new ``sync_state`` sets ``sync_state_updated`` to the present unless the call passes it.

        Args:
            key: The key. A node that does not exist is not set.
            state_is: The states in which the fields are set. None sets them in every state.
            sync_token_is: The token with which the fields are set. None sets them with every token.
            batch_interface: The batch to join.
            fields: The new values of fields of :class:`DocumentNode`.
        """
        expected: dict[str, Any] = {}
        if state_is is not None:
            expected["sync_state"] = check_states(state_is)
        if sync_token_is is not None:
            expected["sync_token"] = check_text(sync_token_is, "sync_token_is")
        checked = check_node_fields(fields, sets_state_time=True)
        return self._write(batch_interface, self._update_node, check_node_key(key), expected, checked)

    def claim_sync(
        self,
        key: NodeKey,
        token: str,
        *,
        states: Iterable[SyncState | None] = (None,),
        stale_before: datetime | None = None,
        reason: str | None = None,
        keep_items: bool = False,
    ) -> bool:
        """Begin a synchronisation if the node's state allows it, and return whether this call began it (D5).

        The condition and the change are one atomic step: of concurrent claims in any processes, one returns True. The
        node then is in progress under the token, and has no documents. The call joins no batch. Three round trips.

        Args:
            key: The key. The result for a node that does not exist is False.
            token: A name of the synchronisation that no other one has, such as a random UUID.
            states: The states in which the claim succeeds. By default it succeeds only for a node that never had one.
            stale_before: The claim also succeeds if a synchronisation is in progress without a sign of life since this
                time. Its token is then no longer valid.
            reason: The reason, for people.
            keep_items: Whether the documents stay, for a synchronisation that replaces them one by one.
        """
        checked = Claim(
            check_text(token, "token"),
            check_states(states),
            None if stale_before is None else check_time(stale_before, "stale_before"),
            None if reason is None else check_long_text(reason, "reason"),
            bool(keep_items),
        )
        return self._claim_sync(check_node_key(key), checked).result

    def renew_sync(self, key: NodeKey, token: str) -> bool:
        """Set the time of a synchronisation's last sign of life to the present. False if the token is not valid."""
        return bool(self.update_node(key, sync_token_is=token, sync_state=SyncState.IN_PROGRESS))

    def finish_sync(
        self,
        key: NodeKey,
        token: str,
        state: SyncState,
        *,
        batch_interface: WriteBatch | None = None,
        **fields: Unpack[NodeFields],
    ) -> bool | None:
        """End the synchronisation of the token with a state; return whether the token was valid, None in a batch (D5).

        The reason becomes None unless the call passes one. With the state ERROR, the documents are removed in the same
        transaction. Three round trips.

        Args:
            key: The key.
            token: The token of the claim.
            state: Any state but IN_PROGRESS.
            batch_interface: The batch to join.
            fields: Further fields to set, such as ``sync_reason`` and ``subscribed``.
        """
        new: NodeFields = {"sync_reason": None, **fields, "sync_state": state, "sync_token": None}
        checked = check_node_fields(new, sets_state_time=True)
        if checked["sync_state"] in (None, SyncState.IN_PROGRESS):
            raise InvalidTypeError(
                f"a synchronisation cannot end with the state {shown(state)}; pass COMPLETED or ERROR"
            )
        token = check_text(token, "token")
        return self._write(batch_interface, self._finish_sync, check_node_key(key), token, checked)

    def delete_node(self, key: NodeKey, *, batch_interface: WriteBatch | None = None) -> bool | None:
        """Delete a node with its documents and subscriptions; return whether it existed, None in a batch (D10)."""
        account, service, name = check_node_key(key)
        deleted = self.delete_nodes(DocumentFilter([account], [service], [name]), batch_interface=batch_interface)
        return None if deleted is None else deleted > 0

    def delete_nodes(self, where: DocumentFilter, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Delete the nodes of a filter with their documents and subscriptions; return the number of nodes (D10).

        The times of the filter must be None. The result is None inside a batch. The cost is proportional to the number
        of documents.
        """
        return self._write(batch_interface, self._delete_nodes, check_filter(where, for_nodes=True))

    def reset(self, accounts: Sequence[str] | None = None, *, batch_interface: WriteBatch | None = None) -> int | None:
        """Delete all nodes of the accounts, or of all accounts; see :meth:`delete_nodes`."""
        return self.delete_nodes(DocumentFilter(accounts=accounts), batch_interface=batch_interface)

    def set_subscription(
        self,
        key: NodeKey,
        subscriber: str,
        state: SubscriptionState = SubscriptionState.SUBSCRIBED,
        *,
        batch_interface: WriteBatch | None = None,
    ) -> bool | None:
        """Set the subscription of a user; return whether the node exists, None in a batch. One round trip."""
        if not isinstance(state, SubscriptionState):
            raise InvalidTypeError(f"a subscription's state must be a SubscriptionState, not {shown(state)}")
        subscriber = check_text(subscriber, "subscriber")
        return self._write(batch_interface, self._set_subscription, check_node_key(key), subscriber, state)

    def remove_subscription(
        self, key: NodeKey, subscriber: str, *, batch_interface: WriteBatch | None = None
    ) -> bool | None:
        """Remove the subscription of a user; return whether it existed, None in a batch. One round trip."""
        subscriber = check_text(subscriber, "subscriber")
        return self._write(batch_interface, self._set_subscription, check_node_key(key), subscriber, None)

    def subscriptions(self, key: NodeKey) -> list[NodeSubscription]:
        """Return the subscriptions of a node in the order of their subscribers. One round trip."""
        return self._subscriptions(check_node_key(key))
