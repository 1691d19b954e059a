"""The one tree of exceptions that feedstore raises.

::

    FeedstoreError
    ├── InvalidValueError            (ValueError)   an argument's value is not allowed
    │   ├── InvalidCursorError                      a cursor was altered, or belongs to another ordering
    │   ├── UnknownSchemeError                      no backend serves this URL's scheme
    │   ├── AtomicityError                          an atomic batch reaches beyond the backend's atomic scope
    │   └── InputError                              an input file is malformed; names file and line
    ├── BlockedError                 (ValueError)   a user cannot follow another, because one blocked the other
    ├── InvalidTypeError             (TypeError)    an argument's type is not allowed
    ├── NotFoundError                (LookupError)
    │   ├── ItemNotFound                            a key-value storage has no such key
    │   ├── InvalidListenerException                a channel has no such listener
    │   ├── NoMessagesException                     a queue has no message to give now
    │   ├── ActivityNotFound         (ValueError)   a timeline has no such activity
    │   ├── PositionNotFound         (IndexError)   a feed has no such position
    │   └── DocumentNotFound                        a node has no document with the id
    ├── UnsupportedError             (NotImplementedError)  the backend lacks this kind of storage
    ├── ConditionFailedError                        a precondition of an atomic batch does not hold
    ├── QueueFull                                   a queue holds its maximum of messages
    ├── BackendClosedError           (ValueError)   the backend was closed before the call
    ├── ForkedClientError            (RuntimeError) an application's own client is used after a fork
    ├── MissingDriverError           (ImportError)  the backend's driver is not installed; names the extra
    ├── JobCrashedError                             a job ended the process of its worker again and again
    ├── EventStoreException                         an event store refused a call, or its backend failed
    │   ├── EventWriteException                     an event could not be saved or deleted
    │   ├── EventReadException                      events could not be read
    │   │   └── EventNotFound        (LookupError)  no event has the id
    │   ├── InvalidEventError        (ValueError)   a field of an event has a value that is not allowed
    │   └── InvalidSearchError       (ValueError)   an order, bound, flag, pattern, limit or cursor is not allowed
    ├── PubsubError                                 a pubsub service refused a call, or failed
    │   ├── PubsubServiceError                      the service answered with an error; ``condition`` names the reason
    │   │   ├── PubsubItemNotFound   (LookupError)  no such node, or no such item
    │   │   └── PubsubUnsupportedError              the service does not have this operation
    │   ├── PubsubUnavailableError (ConnectionError)  the service cannot be reached, or the connection was lost
    │   ├── PubsubTimeoutError       (TimeoutError) the service did not answer in time
    │   ├── PubsubClosedError        (ValueError)   the object of the service was closed before the call
    │   └── PayloadError             (ValueError)   the payload of an item cannot be parsed, or is refused
    ├── StoredDataError                             stored bytes cannot be decoded; names the id or key
    ├── SchemaError                                 the backend needs another schema than the database has
    │   ├── MissingSchemaError                      the database has none, and the backend may not create it
    │   ├── OutdatedSchemaError                     older than this release; names the command that upgrades it
    │   └── NewerSchemaError                        written by a newer release
    └── StorageError                                the store itself failed; the driver's exception is the cause
        ├── StorageUnavailableError  (ConnectionError)  the store cannot be reached, or the connection was lost
        ├── StorageTimeoutError      (TimeoutError)     the store did not answer in time, or stayed locked
        └── StorageFullError                            the store has no room left

A usage error is also the built-in exception that a Python programmer expects, so ``except ValueError`` works.
"""

from __future__ import annotations


class FeedstoreError(Exception):
    """The root of every exception that feedstore raises on purpose."""


class InvalidValueError(FeedstoreError, ValueError):
    """An argument has the right type, but a value that is not allowed."""


class InvalidCursorError(InvalidValueError):
    """A page's cursor was altered, cut, or belongs to another ordering."""


class UnknownSchemeError(InvalidValueError):
    """No installed backend serves the scheme of the URL."""


class AtomicityError(InvalidValueError):
    """An atomic batch holds writes that the backend cannot commit atomically together."""


class InputError(InvalidValueError):
    """An input file is malformed.

    ``path`` and ``line`` give the place, if it is known; ``reason`` describes the problem.
    """

    def __init__(self, reason: str, path: str | None = None, line: int | None = None) -> None:
        self.reason = reason
        self.path = path
        self.line = line
        where = ":".join(str(part) for part in (path, line) if part is not None)
        super().__init__(f"{where}: {reason}" if where else reason)


class InvalidTypeError(FeedstoreError, TypeError):
    """An argument has a type that is not allowed."""


class NotFoundError(FeedstoreError, LookupError):
    """No object of the given name or id exists."""


class ItemNotFound(NotFoundError):
    """A key-value storage holds nothing under the key."""


class InvalidListenerException(NotFoundError):
    """A channel has no listener with the id."""


class NoMessagesException(NotFoundError):
    """A queue has no message to give now: it is empty, or other consumers have received all its messages."""


class ActivityNotFound(NotFoundError, ValueError):
    """A timeline holds no entry with the id."""


class PositionNotFound(NotFoundError, IndexError):
    """A feed holds nothing at a position."""


class DocumentNotFound(NotFoundError):
    """A node has no document with the id."""


class UnsupportedError(FeedstoreError, NotImplementedError):
    """The backend lacks this kind of storage, or its database a part that feedstore needs; the message names it."""


class ConditionFailedError(FeedstoreError):
    """A precondition of an atomic batch does not hold, so none of its writes happened."""


class BlockedError(FeedstoreError, ValueError):
    """A user cannot follow another, because one of the two has blocked the other."""


class QueueFull(FeedstoreError):
    """A queue holds its maximum of messages and drops none; the call stored nothing."""


class JobCrashedError(FeedstoreError):
    """Several runs of a job did not end, probably because the job killed the processes of its workers."""


class BackendClosedError(FeedstoreError, ValueError):
    """The backend was closed before the call."""


class ForkedClientError(FeedstoreError, RuntimeError):
    """A client that the application passed to the backend is used in a forked child process."""


class MissingDriverError(FeedstoreError, ImportError):
    """The database driver of a backend is not installed; the message names the extra that installs it."""


class EventStoreException(FeedstoreError):
    """An event store refused a call, or its backend failed; the backend's error is the cause of this one."""


class EventWriteException(EventStoreException):
    """An event could not be saved or deleted."""


class EventReadException(EventStoreException):
    """Events could not be read."""


class EventNotFound(EventReadException, LookupError):
    """No event has the id."""


class InvalidEventError(EventStoreException, ValueError):
    """A field of an event has a value that is not allowed."""


class InvalidSearchError(EventStoreException, ValueError):
    """A search has an order, a bound, a flag, a pattern, a limit or a cursor that is not allowed."""


class PubsubError(FeedstoreError):
    """A pubsub service refused a call, or failed."""


class PubsubServiceError(PubsubError):
    """A pubsub service answered with an error.

    ``condition`` is the name of the reason: a condition of XMPP such as ``forbidden``, ``not-authorized``,
    ``item-not-found``, ``conflict`` or ``internal-server-error``, also for services of other protocols.
    """

    def __init__(self, message: str, condition: str = "undefined-condition") -> None:
        self.condition = condition
        super().__init__(message)


class PubsubItemNotFound(PubsubServiceError, LookupError):
    """A pubsub service has no such node, or no such item."""

    def __init__(self, message: str, condition: str = "item-not-found") -> None:
        super().__init__(message, condition)


class PubsubUnsupportedError(PubsubServiceError):
    """A pubsub service does not have the operation."""

    def __init__(self, message: str, condition: str = "feature-not-implemented") -> None:
        super().__init__(message, condition)


class PubsubUnavailableError(PubsubError, ConnectionError):
    """A pubsub service cannot be reached, or the connection to it was lost."""


class PubsubTimeoutError(PubsubError, TimeoutError):
    """A pubsub service did not answer in time."""


class PubsubClosedError(PubsubError, ValueError):
    """The object of a pubsub service was closed before the call."""


class PayloadError(PubsubError, ValueError):
    """The payload of a pubsub item cannot be parsed, or is refused because it is dangerous or too large."""


class StoredDataError(FeedstoreError):
    """Stored bytes cannot be decoded; the message names the id or the key that they belong to."""


class SchemaError(FeedstoreError):
    """The backend needs another schema than the database has."""


class MissingSchemaError(SchemaError):
    """The database has no feedstore schema, and the backend was not allowed to create it."""


class OutdatedSchemaError(SchemaError):
    """The database's schema is older than this release and was not migrated."""


class NewerSchemaError(SchemaError):
    """The database or namespace was written by a newer release of feedstore."""


class StorageError(FeedstoreError):
    """The store failed; the driver's own exception is the cause of this one."""


class StorageUnavailableError(StorageError, ConnectionError):
    """The store cannot be reached, or the connection to it was lost."""


class StorageTimeoutError(StorageError, TimeoutError):
    """The store did not answer in time, or a lock was not acquired in time."""


class StorageFullError(StorageError):
    """The store has no room left for the write."""
