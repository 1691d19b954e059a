"""Verbs of activities, and the registry of an application's verbs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from feedstore.errors import InvalidTypeError, InvalidValueError, NotFoundError
from feedstore.shown import shown


@dataclass(frozen=True)
class Verb:
    """A verb with the words that a page shows for it.

    Activities store the ``name`` only, so the words may change at any time. ``past_tense`` defaults to the name.

    >>> str(Verb("comment", past_tense="commented on"))
    'comment'
    """

    name: str
    past_tense: str = ""

    def __post_init__(self) -> None:
        """Check the name and fill in the past tense."""
        if not isinstance(self.name, str):
            raise InvalidTypeError(f"a verb's name must be a str, not {shown(self.name)}")
        if not self.name:
            raise InvalidValueError("a verb's name must be a str of one character or more")
        if not self.past_tense:
            object.__setattr__(self, "past_tense", self.name)

    @property
    def infinitive(self) -> str:
        """The name, under stream_framework's name."""
        return self.name

    def __str__(self) -> str:
        return self.name


class VerbRegistry:
    """The verbs of one application, by name; there is no global one.

    >>> registry = VerbRegistry([Verb("like", "liked")])
    >>> registry.get("like").past_tense
    'liked'
    """

    def __init__(self, verbs: list[Verb] | tuple[Verb, ...] = ()) -> None:
        self._verbs: dict[str, Verb] = {}
        for verb in verbs:
            self.register(verb)

    def register(self, verb: Verb) -> None:
        """Add a verb. Adding it twice is no error; another verb of the same name raises :class:`InvalidValueError`."""
        if not isinstance(verb, Verb):
            raise InvalidTypeError(f"register takes a Verb, not {shown(verb)} of type {type(verb).__name__}")
        known = self._verbs.setdefault(verb.name, verb)
        if known != verb:
            raise InvalidValueError(f"cannot register {shown(verb)}: the name is taken by {shown(known)}")

    def get(self, name: str) -> Verb:
        """Return the verb of that name, or raise :class:`NotFoundError`."""
        try:
            return self._verbs[name]
        except KeyError:
            raise NotFoundError(f"no verb {shown(name)} is registered") from None

    def __contains__(self, name: object) -> bool:
        return name in self._verbs

    def __iter__(self) -> Iterator[Verb]:
        return iter(self._verbs.values())

    def __len__(self) -> int:
        return len(self._verbs)
