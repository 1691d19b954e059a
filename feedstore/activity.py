"""Activities, and the references to them that timelines hold.

Both are frozen values in slots. Measured against the alternatives (CPython 3.11, creating all eight fields): slots
filled through their descriptors 0.34 µs, frozen dataclass 0.59 µs, slots filled by ``object.__setattr__`` 0.67 µs. A
tuple subclass takes 0.08 µs, but it is a sequence for every function that accepts one: ``"%s" % activity`` fails, and
it serializes as a list.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import TYPE_CHECKING, Any, NoReturn, Self
from uuid import UUID

from feedstore.activity_fields import checked_name, checked_text, copied_context, in_utc, parsed_time
from feedstore.errors import InvalidTypeError
from feedstore.ids import derive_id, id_to_text, parse_id
from feedstore.plain_values import plain_value
from feedstore.read_only import frozen
from feedstore.shown import expression_of, shown
from feedstore.verbs import Verb

_EXACT_IN_JAVASCRIPT = 2**53 - 1
_FIELDS = ("actor", "verb", "object", "target", "time", "extra_context", "id", "foreign_id")


class _Frozen:
    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: make a new one instead of setting {shown(name)}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {shown(name)} cannot be deleted")


class ActivityRef(_Frozen):
    """A dehydrated activity: its id alone. Equal and hashed by id.

    A reference is never equal to an :class:`Activity`, because two different activities may have its id. A comparison
    with the activity of the same id, such as ``activity in timelines.get_slice(…)``, warns and names the right one.

    ``serialization_id`` is an int, a :class:`uuid.UUID` or a UUID as a str; it is stored as an int.

    >>> ActivityRef(255)
    ActivityRef('00000000-0000-0000-0000-0000000000ff')
    """

    __slots__ = ("serialization_id",)
    serialization_id: int

    def __init__(self, serialization_id: object) -> None:
        _set_reference_id(self, parse_id(serialization_id))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ActivityRef):
            return self.serialization_id == other.serialization_id
        if isinstance(other, Activity):
            _explain_comparison(self, other)
            return False
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.serialization_id)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"id": …}`` with the id as a UUID in a str."""
        return {"id": id_to_text(self.serialization_id)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the reference of a mapping with an ``id``, such as a result of :meth:`to_dict` of an activity too."""
        if not isinstance(fields, Mapping) or "id" not in fields:
            raise InvalidTypeError(f"fields must be a mapping with an id, not {shown(fields)}")
        return cls(fields["id"])

    # Hidden from type checkers, which would accept every name as an attribute.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            advice = ""
            if name in _FIELDS:
                advice = ": a reference holds an id alone; read with hydrate_from=, or get the activity from a storage"
            raise AttributeError(f"{type(self).__name__} has no attribute {shown(name)}{advice}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({id_to_text(self.serialization_id)!r})"

    def __reduce__(self) -> tuple[type[ActivityRef], tuple[int]]:
        return type(self), (self.serialization_id,)


_set_reference_id = ActivityRef.__dict__["serialization_id"].__set__


def _explain_comparison(reference: ActivityRef, activity: Activity) -> None:
    if reference.serialization_id == activity.serialization_id:
        warnings.warn(
            f"{reference} is never equal to its activity: compare with activity.reference, read the timeline with "
            "hydrate_from=, or call timelines.contains(key, activity)",
            UserWarning,
            stacklevel=3,
        )


def reference_to(activity_id: int) -> ActivityRef:
    """Return the reference to a valid id, without the check of the constructor."""
    reference = _new_object(ActivityRef)
    _set_reference_id(reference, activity_id)
    return reference


def references_to(activity_ids: Sequence[int]) -> list[ActivityRef]:
    """Return the references to ids that are known to be ids, in their order, without a call of Python for each."""
    references = list(map(_new_object, repeat(ActivityRef, len(activity_ids))))
    # The setter returns None, so any() runs to the end.
    any(map(_set_reference_id, references, activity_ids))
    return references


_new_object = object.__new__


class Activity(_Frozen):
    """An activity: an ``actor`` did something (``verb``) to an ``object``, at a ``time``.

    - ``actor``, ``object`` and ``target`` are strs or ints (64 bits); an empty str is refused. ``object`` and
      ``target`` may be None: "ann logged in" has neither.
    - ``verb`` is a str, or a :class:`~feedstore.verbs.Verb`, of which the name is stored.
    - ``time`` is a timezone-aware datetime from 1970 on, kept in UTC to the microsecond; None is now.
    - ``extra_context`` is a mapping of values that belong to the activity, but not to its identity. It is
      copied, and the copy is read-only, at every depth. Values: None, bool, int, float, str, bytes, list, dict, aware
      datetime, date, Decimal, UUID; also tuples, which become lists, and members of str- and int-enumerations, which
      become their values. An error names the path of any other value.
    - ``id`` is the caller's own id (an int below 2**128, a UUID, or a UUID as a str). By default it is derived from
      time, actor, verb, object, target and ``foreign_id`` (see :mod:`feedstore.ids`), so the same activity always gets
      the same id.
    - ``foreign_id`` distinguishes two equal activities of one instant, for example by the id of a row in your database.
      It is an idempotency key only together with ``time``, which is part of the id: pass the row's own time, because
      the default differs from call to call. To identify an activity by time and ``foreign_id`` alone, and
      not by its other fields, pass ``id=derive_id(time, foreign_id)`` (:func:`feedstore.ids.derive_id`).

    Equal when all fields are, hashed by id. An activity is never equal to an :class:`ActivityRef`, because activities
    of one id may differ: compare :attr:`reference`, or call ``contains`` of a timeline storage. Raises
    :class:`InvalidTypeError` or :class:`InvalidValueError`, naming the field.

    >>> from datetime import datetime, timezone
    >>> like = Activity("ann", "like", "photo:7", time=datetime(2026, 1, 1, tzinfo=timezone.utc))
    >>> like.serialization_id == Activity("ann", "like", "photo:7", time=like.time).serialization_id
    True
    """

    __slots__ = (
        "_context",
        "_frozen_context",
        "actor",
        "foreign_id",
        "object",
        "serialization_id",
        "target",
        "time",
        "verb",
    )

    actor: str | int
    verb: str
    object: str | int | None
    target: str | int | None
    time: datetime
    foreign_id: str | int | None
    serialization_id: int

    def __init__(
        self,
        actor: str | int,
        verb: str | Verb,
        object: str | int | None = None,
        target: str | int | None = None,
        time: datetime | None = None,
        extra_context: Mapping[str, Any] | None = None,
        id: int | UUID | str | None = None,
        foreign_id: str | int | None = None,
    ) -> None:
        verb = checked_text("verb", verb.name if isinstance(verb, Verb) else verb)
        actor = checked_name("actor", actor)
        named = None if object is None else checked_name("object", object)
        if target is not None:
            target = checked_name("target", target)
        if foreign_id is not None:
            foreign_id = checked_name("foreign_id", foreign_id)
        time = in_utc(time)
        if id is None:
            parts = (actor, verb, named, target)
            activity_id = derive_id(time, *parts, *(() if foreign_id is None else (foreign_id,)))
        else:
            activity_id = parse_id(id)
        _fill(self, activity_id, actor, verb, named, target, time, copied_context(extra_context), foreign_id)

    @classmethod
    def restore(
        cls,
        serialization_id: int,
        actor: str | int,
        verb: str,
        object: str | int | None,
        target: str | int | None,
        time: datetime,
        extra_context: dict[str, Any],
        foreign_id: str | int | None,
    ) -> Self:
        """Return an activity from the fields of another activity, without checks or copies; serializers call it."""
        activity: Self = _new_object(cls)
        _fill(activity, serialization_id, actor, verb, object, target, time, extra_context, foreign_id)
        return activity

    @property
    def id(self) -> int:
        """The id, under its short name."""
        return self.serialization_id

    @property
    def extra_context(self) -> dict[str, Any]:
        """The extra context: a dict that, like its inner containers, raises :class:`InvalidTypeError` on a change."""
        try:
            context: dict[str, Any] = _get_frozen_context(self)
        except AttributeError:
            context = frozen(self.stored_context)
            _set_frozen_context(self, context)
        return context

    @property
    def stored_context(self) -> dict[str, Any]:
        """The extra context in ordinary containers, for serializers, which must not change them."""
        context: dict[str, Any] = _get_context(self)
        return context

    def to_dict(self, render: Callable[[Self], str] | None = None) -> dict[str, Any]:
        """Return the fields by name as JSON values: ``id`` as a UUID in a str, ``time`` as RFC 3339.

        In ``extra_context`` datetimes, dates, Decimals, UUIDs and NaN become strs, bytes become base64, and ints beyond
        2**53 - 1, which JavaScript rounds, become decimal digits.

        Args:
            render: returns the sentence of the activity, such as :meth:`feedstore.rendering.SentenceRenderer.render`;
                its result becomes the field ``sentence``.
        """
        fields = {
            "id": id_to_text(self.serialization_id),
            "time": self.time.isoformat(),
            "actor": self.actor,
            "verb": self.verb,
            "object": self.object,
            "target": self.target,
            "foreign_id": self.foreign_id,
            "extra_context": plain_value(self.stored_context, _EXACT_IN_JAVASCRIPT),
        }
        if render is not None:
            fields["sentence"] = render(self)
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the activity of a mapping such as a result of :meth:`to_dict`.

        Required are ``actor`` and ``verb``. ``time`` is an RFC 3339 str or an aware datetime. Values of
        ``extra_context`` keep their JSON form, and a ``sentence`` is ignored. Raises :class:`InvalidTypeError` for an
        unknown field, and the errors of the constructor.
        """
        if not isinstance(fields, Mapping):
            raise InvalidTypeError(f"fields must be a mapping such as the result of to_dict(), not {shown(fields)}")
        unknown = [name for name in fields if name not in _FIELDS and name != "sentence"]
        missing = [name for name in ("actor", "verb") if name not in fields]
        if unknown or missing:
            problem = f"has the unknown field {shown(unknown[0])}" if unknown else f"lacks the field {missing[0]!s}"
            raise InvalidTypeError(f"the mapping {problem}; the fields are {', '.join(_FIELDS)}")
        time = fields.get("time")
        own = {name: value for name, value in fields.items() if name != "sentence"}
        return cls(**{**own, "time": parsed_time(time) if isinstance(time, str) else time})

    @property
    def reference(self) -> ActivityRef:
        """The dehydrated form of this activity."""
        return reference_to(self.serialization_id)

    def get_dehydrated(self) -> ActivityRef:
        """Return :attr:`reference`, under stream_framework's name."""
        return self.reference

    def _fields(self) -> tuple[Any, ...]:
        return (
            self.serialization_id,
            self.actor,
            self.verb,
            self.object,
            self.target,
            self.time,
            self.stored_context,
            self.foreign_id,
        )

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Activity):
            return NotImplemented
        return type(self) is type(other) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self.serialization_id)

    def __repr__(self) -> str:
        words = [f"{self.actor!r}, {self.verb!r}, {self.object!r}"]
        if self.target is not None:
            words.append(f"target={self.target!r}")
        words.append(f"time={self.time!r}, id={id_to_text(self.serialization_id)!r}")
        if self.stored_context:
            try:
                words.append(f"extra_context={expression_of(self.stored_context)}")
            # An int of more than 4,300 digits, for example, has no repr.
            except (ValueError, RecursionError):
                words.append(f"extra_context={shown(self.stored_context)}")
        if self.foreign_id is not None:
            words.append(f"foreign_id={self.foreign_id!r}")
        return f"{type(self).__name__}({', '.join(words)})"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return type(self).restore, self._fields()


_SLOTS = Activity.__dict__
_set_id = _SLOTS["serialization_id"].__set__
_set_actor = _SLOTS["actor"].__set__
_set_verb = _SLOTS["verb"].__set__
_set_object = _SLOTS["object"].__set__
_set_target = _SLOTS["target"].__set__
_set_time = _SLOTS["time"].__set__
_set_context = _SLOTS["_context"].__set__
_get_context = _SLOTS["_context"].__get__
_set_frozen_context = _SLOTS["_frozen_context"].__set__
_get_frozen_context = _SLOTS["_frozen_context"].__get__
_set_foreign_id = _SLOTS["foreign_id"].__set__


def _fill(
    activity: Activity,
    activity_id: int,
    actor: str | int,
    verb: str,
    object_: str | int | None,
    target: str | int | None,
    time: datetime,
    extra_context: dict[str, Any],
    foreign_id: str | int | None,
) -> None:
    _set_id(activity, activity_id)
    _set_actor(activity, actor)
    _set_verb(activity, verb)
    _set_object(activity, object_)
    _set_target(activity, target)
    _set_time(activity, time)
    _set_context(activity, extra_context)
    _set_foreign_id(activity, foreign_id)
