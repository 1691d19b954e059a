"""What travels through a channel: a type, and a payload."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any
from uuid import uuid4

from feedstore.errors import InvalidTypeError
from feedstore.shown import shown


class MessageContract(ABC):
    """A container of information, identified by a type."""

    @property
    @abstractmethod
    def type(self) -> str:
        """What kind of message it is; on a browser's side, the name of the event."""

    @property
    @abstractmethod
    def payload(self) -> Any:
        """What it carries: plain values, where it travels through a durable queue."""


class Message(MessageContract):
    """A message of a type, with a payload or none. Two are equal if both are.

    Raises :class:`InvalidTypeError` for a type that is no text.

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
        """The type that it was made with."""
        return self._type

    @property
    def payload(self) -> Any:
        """The payload that it was made with."""
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
    """A message with an id of its own, which tells a second delivery from a second message.

    ``message_id`` is a random UUID's text unless it is given.
    """

    def __init__(self, message: MessageContract, sender_id: str | None = None, message_id: str | None = None) -> None:
        if not isinstance(message, MessageContract):
            raise InvalidTypeError(f"message is a message, not {shown(message)} of type {type(message).__name__}")
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
        """The id of the listener that sent the message, if it is known."""
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
