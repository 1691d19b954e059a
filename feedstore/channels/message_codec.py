"""Messages as plain values, which is how they lie in a durable queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feedstore.channels.message import Message, SignedMessage, UniqueMessage
from feedstore.errors import InvalidTypeError, StoredDataError
from feedstore.shown import shown

_PLAIN = {"type", "payload"}
_SIGNED = {*_PLAIN, "signed"}
_UNIQUE = {*_PLAIN, "unique", "sender"}


class MessageCodec:
    """Turns messages of three classes into plain values and back: plain ones, signed ones, unique ones.

    The classes are ours by default; others with the same constructors will do. A unique message keeps its id, type,
    payload and sender. Nothing else is taken: a message of another class would come back as less than it was.
    """

    def __init__(
        self, plain: Callable[..., Any] = Message, signed: Callable[..., Any] = SignedMessage,
        unique: Callable[..., Any] = UniqueMessage,
    ) -> None:  # fmt: skip
        self._plain = plain
        self._signed = signed
        self._unique = unique

    def encode(self, message: Any) -> dict[str, Any]:
        """Return the value of a message. Raises :class:`InvalidTypeError` for one of another class."""
        kind = type(message)
        value = {"type": message.type, "payload": message.payload} if kind in self._classes() else {}
        if kind is self._signed:
            return {**value, "signed": message.sender_id}
        if kind is self._unique:
            return {**value, "unique": message.id, "sender": message.sender_id}
        if kind is self._plain:
            return value
        raise InvalidTypeError(
            f"a durable queue takes messages of the classes Message, SignedMessage and UniqueMessage themselves, not "
            f"{shown(message)} of type {kind.__name__}"
        )

    def decode(self, value: Any) -> Any:
        """Return the message of a value. Raises :class:`StoredDataError` for what :meth:`encode` did not make."""
        names = value.keys() if isinstance(value, dict) and isinstance(value.get("type"), str) else ()
        if names == _PLAIN:
            return self._plain(value["type"], value["payload"])
        if names == _SIGNED:
            return self._signed(value["signed"], value["type"], value["payload"])
        if names == _UNIQUE:
            return self._unique(self._plain(value["type"], value["payload"]), value["sender"], value["unique"])
        raise StoredDataError(f"a queue holds {shown(value)}, which is no message; something else pushes to it")

    def _classes(self) -> tuple[Any, ...]:
        return self._plain, self._signed, self._unique
