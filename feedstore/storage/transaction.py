"""Transactions, which write hooks receive, and the pending results that they return."""

from __future__ import annotations

from typing import Generic, TypeVar

from feedstore.errors import InvalidValueError

_Result = TypeVar("_Result")


class Pending(Generic[_Result]):
    """The result of a write, which is known once its transaction has committed.

    A hook that knows its result already returns ``Pending(result)``. A transaction that collects writes returns one
    without a result, and calls :meth:`settle` when it has committed.

    >>> Pending(3).result
    3
    """

    __slots__ = ("_results",)

    def __init__(self, *result: _Result) -> None:
        self._results = result

    @property
    def result(self) -> _Result:
        """What the write counted. Raises :class:`InvalidValueError` before the transaction has committed."""
        if not self._results:
            raise InvalidValueError("this write has no result yet; read it after its batch has ended")
        return self._results[0]

    @property
    def is_settled(self) -> bool:
        """Whether the result is known."""
        return bool(self._results)

    def settle(self, result: _Result) -> None:
        """Set the result, once the transaction has committed."""
        self._results = (result,)


class Transaction:
    """The writes of one public call, or of one batch, which are committed together.

    A hook passes its transaction on to its store and never keeps it. The base class commits each write immediately;
    :data:`AUTOCOMMIT` is the one instance that calls outside a batch use. A backend whose batches must collect writes,
    or hold a connection, derives a class of its own and hands an instance to the hooks of a batch.
    """

    __slots__ = ()


AUTOCOMMIT = Transaction()
"""The transaction of a call outside a batch: each write is committed when its hook returns."""
