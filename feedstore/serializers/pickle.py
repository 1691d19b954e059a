"""Activities as pickles. Import this module by name; feedstore never does."""

from __future__ import annotations

import pickle
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError
from feedstore.ids import id_to_text
from feedstore.serializers.base import Serializer, wrong_format

FORMAT = 0x31
_PREFIX = bytes([FORMAT])


class PickleSerializer(Serializer[Activity]):
    """Stores any picklable activity; a subclass of :class:`~feedstore.Activity` comes back as itself.

    **A client that can write to the store can run code in every process that reads it.** Choose this serializer for
    stores that no other client can reach. Format ``0x31``: that byte, then a pickle of protocol 4.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of an activity."""
        if not isinstance(activity, self.activity_class):
            self.check_activity(activity)
        try:
            return _PREFIX + pickle.dumps(activity, protocol=4)
        except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
            what = f"activity {id_to_text(activity.serialization_id)}"
            raise InvalidTypeError(f"{what} cannot be pickled: {error}") from error

    def loads(self, data: bytes, activity_id: int) -> Any:
        """Return the object that the bytes hold, and run any code that they name."""
        if data.__class__ is not bytes or data[:1] != _PREFIX:
            raise wrong_format(data, FORMAT, activity_id)
        return pickle.loads(data[1:])
