"""Messages, each a type and a payload, and their encoding as plain values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from feedstore.errors import InvalidTypeError, StoredDataError
from feedstore.shown import shown

_PLAIN = {"type", "payload"}
_SIGNED = {*_PLAIN, "signed"}
_UNIQUE = {*_PLAIN, "unique", "sender"}


class MessageContract(ABC):
    """A container of information, identified by a type."""

    @property
    @abstractmethod
    def type(self) -> str:
        """The kind of the message; in a browser, the name of the event."""

    @property
    @abstractmethod
    def payload(self) -> Any:
        """The content of the message. A durable queue takes plain values only."""


class Message(MessageContract):
    """A message of a type, with or without a payload. Messages with equal types and payloads are equal.

    Raises :class:`InvalidTypeError` for a type that is not a str.

    >>> Message("comment", {"by": "ann"})
    Message('comment', {'by': 'ann'})
    """

    def __init__(self, msg_type: str, msg_payload: Any = None) -> None:
        if not isinstance(msg_type, str):
            raise InvalidTypeError(f"msg_type must be a str, not {shown(msg_type)} of type {type(msg_type).__name__}")
        self._type = msg_type
        self._payload = msg_payload

    @property
    def type(self) -> str:
        """The type that was passed to the constructor."""
        return self._type

    @property
    def payload(self) -> Any:
        """The payload that was passed to the constructor."""
        return self._payload

    def __repr__(self) -> str:
        return f"Message({shown(self.type)}, {shown(self.payload)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message) or other.__class__ is not self.__class__:
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        # Payloads may be lists and dictionaries, which have no hash.
        return hash((self.__class__, self.type))

    def _parts(self) -> tuple[Any, ...]:
        return self.type, self.payload


class SignedMessage(Message):
    """A message with the id of the listener that sent it."""

    def __init__(self, sender_id: str, msg_type: str, msg_payload: Any = None) -> None:
        super().__init__(msg_type, msg_payload)
        self._sender_id = sender_id

    @property
    def sender_id(self) -> str:
        """The id of the listener that sent the message."""
        return self._sender_id

    def __repr__(self) -> str:
        return f"SignedMessage({shown(self.sender_id)}, {shown(self.type)}, {shown(self.payload)})"

    def _parts(self) -> tuple[Any, ...]:
        return *super()._parts(), self.sender_id


class UniqueMessage(MessageContract):
    """A message with its own id, which distinguishes a redelivery from a second message.

    ``message_id`` is a random UUID by default.
    """

    def __init__(self, message: MessageContract, sender_id: str | None = None, message_id: str | None = None) -> None:
        if not isinstance(message, MessageContract):
            raise InvalidTypeError(f"message must be a message, not {shown(message)} of type {type(message).__name__}")
        self._message = message
        self._sender_id = sender_id
        self._id = str(uuid4()) if message_id is None else message_id

    @property
    def id(self) -> str:
        """The message's own id."""
        return self._id

    @property
    def type(self) -> str:
        """The type of the message inside."""
        return self._message.type

    @property
    def payload(self) -> Any:
        """The payload of the message inside."""
        return self._message.payload

    @property
    def sender_id(self) -> str | None:
        """The id of the listener that sent the message, or None if it is unknown."""
        return self._sender_id

    def __repr__(self) -> str:
        return f"UniqueMessage({shown(self.type)}, {shown(self.payload)}, id={shown(self.id)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UniqueMessage):
            return NotImplemented
        return (self.id, self.type, self.payload, self.sender_id) == (
            other.id,
            other.type,
            other.payload,
            other.sender_id,
        )

    def __hash__(self) -> int:
        return hash(self.id)


class MessageCodec:
    """Encodes messages of three classes (plain, signed, unique) as plain values, and decodes them.

    The classes are feedstore's by default; classes with the same constructors work too. A unique message keeps its id,
    type, payload and sender. The codec refuses other classes, because their further attributes would be lost.
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
        """Return the message of a value. Raises :class:`StoredDataError` for a value of another program."""
        names = value.keys() if isinstance(value, dict) and isinstance(value.get("type"), str) else ()
        if names == _PLAIN:
            return self._plain(value["type"], value["payload"])
        if names == _SIGNED:
            return self._signed(value["signed"], value["type"], value["payload"])
        if names == _UNIQUE:
            return self._unique(self._plain(value["type"], value["payload"]), value["sender"], value["unique"])
        raise StoredDataError(f"a queue holds {shown(value)}, which is not a message; another program writes to it")

    def _classes(self) -> tuple[Any, ...]:
        return self._plain, self._signed, self._unique
