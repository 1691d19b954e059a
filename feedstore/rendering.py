"""Sentences about activities, such as "Ann, Bob and 3 others liked photo 7", in the language of the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from gettext import NullTranslations
from string import Formatter
from typing import Any, Protocol

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown
from feedstore.verbs import Verb, VerbRegistry

Name = str | int
"""An actor, an object or a target, as activities name them."""
_TWO = "{names} and {name}"
_MANY = "{names}, {name}"
_OTHER, _OTHERS = "{names} and {count} other", "{names} and {count} others"
_ALONE, _CROWD = "{count} other", "{count} others"
_SENTENCE_FIELDS = frozenset({"actors", "object", "target", "count"})


class Translations(Protocol):
    """The two methods that a renderer calls; an instance of :class:`gettext.NullTranslations` has them."""

    def gettext(self, message: str, /) -> str:
        """Return the translation of a message."""

    def ngettext(self, singular: str, plural: str, n: int, /) -> str:
        """Return the translation of a message for the number ``n``."""


class Grouped(Protocol):
    """Several activities that one sentence describes, such as an aggregated activity."""

    @property
    def actor_ids(self) -> Sequence[Name]:
        """The distinct actors, or the newest of them."""

    @property
    def actor_count(self) -> int:
        """The number of all distinct actors."""

    @property
    def verb(self) -> str | Verb:
        """The verb of the activities."""

    @property
    def object_ids(self) -> Sequence[Name | None]:
        """The distinct objects, or the newest of them."""


class SentenceRenderer:
    """Renders the sentence of an activity, or of a group of activities, as a str of plain text.

    A renderer has no state but its arguments, so threads share it. An application makes one for each language.

    The message of a verb is a whole sentence, ``"{actors} liked {object}"``, in a form for one actor and a form for
    several, so that a translation can change the order of the words and their endings. Names are put in after the
    translation. The result is not escaped: escape it in HTML, as template engines do.

    Args:
        verbs: the verbs, whose past tense the sentences contain. The sentence of another verb contains its name.
        actor_name: returns the name of an actor. By default it is the actor itself.
        object_name: returns the name of an object or a target. By default it is the object itself.
        sentences: messages by the name of a verb, with the fields ``{actors}``, ``{object}``, ``{target}`` and
            ``{count}`` (the number of actors). The default message names no target, because the verb decides its
            preposition: ``{"add": "{actors} added {object} to {target}"}``. An activity without the object or the
            target that its message names gets the default message.
        translations: an object with ``gettext`` and ``ngettext``; see :meth:`messages` for a catalog.
        most_names: the number of names that a sentence shows before it counts the others, 1 or more.
        number: formats a count, for example with separators of thousands.

    >>> renderer = SentenceRenderer(VerbRegistry([Verb("like", "liked")]), actor_name=str.title)
    >>> renderer.sentence(["ann", "bob"], "like", "photo 7", other_actors=3)
    'Ann, Bob and 3 others liked photo 7'
    """

    def __init__(
        self,
        verbs: VerbRegistry | None = None,
        *,
        actor_name: Callable[[Any], str] = str,
        object_name: Callable[[Any], str] = str,
        sentences: Mapping[str, str] | None = None,
        translations: Translations | None = None,
        most_names: int = 2,
        number: Callable[[int], str] = str,
    ) -> None:
        if isinstance(most_names, bool) or not isinstance(most_names, int) or most_names < 1:
            raise InvalidValueError(f"most_names is {shown(most_names)}; it must be an int of 1 or more")
        self._verbs = VerbRegistry() if verbs is None else verbs
        self._sentences = dict(sentences or {})
        for verb, message in self._sentences.items():
            _check_message(message, _SENTENCE_FIELDS, f"the sentence of {shown(verb)}")
        self._actor_name = actor_name
        self._object_name = object_name
        self._translations = NullTranslations() if translations is None else translations
        self._most_names = most_names
        self._number = number

    def render(self, item: Activity | Grouped) -> str:
        """Return the sentence of an activity, or of a group such as an aggregated activity.

        The objects of a group are named like its actors: the first ones, and the number of the others. A group that has
        no ``object_count`` has no objects but its ``object_ids``.
        """
        if isinstance(item, Activity):
            return self.sentence([item.actor], item.verb, item.object, target=item.target)
        try:
            actors, count, verb, objects = item.actor_ids, item.actor_count, item.verb, item.object_ids
        except AttributeError as error:
            raise InvalidTypeError(
                f"a sentence needs an activity or a group with actor_ids, actor_count, verb and object_ids, not "
                f"{shown(item)}: {error}"
            ) from None
        named = [one for one in objects if one is not None]
        other_objects = getattr(item, "object_count", 0) - len(named)
        return self.sentence(
            actors, verb, named, other_actors=max(count - len(actors), 0), other_objects=max(other_objects, 0)
        )

    def sentence(
        self,
        actors: Sequence[Name],
        verb: str | Verb,
        objects: Name | Sequence[Name] | None = None,
        *,
        target: Name | None = None,
        other_actors: int = 0,
        other_objects: int = 0,
    ) -> str:
        """Return the sentence "``actors`` ``verb`` ``objects``".

        Args:
            actors: the actors to name, the first one first; those beyond ``most_names`` are counted as others.
            verb: the name of a verb, or the verb.
            objects: one object, several, or None for a verb without an object.
            target: the target, for messages that name it.
            other_actors: the number of further actors, which are not in ``actors``.
            other_objects: the number of further objects, which are not in ``objects``.
        """
        if isinstance(objects, (str, int)):
            objects = [objects]
        named = list(objects or ())
        # This also checks the numbers of others, of which `ngettext` would warn.
        listed = self._listed(actors, other_actors, self._actor_name)
        count = len(actors) + other_actors
        message = self._message(str(verb), bool(named or other_objects), target is not None)
        return _filled(
            self._translations.ngettext(message, message, count),
            actors=listed,
            object=self._listed(named, other_objects, self._object_name),
            target="" if target is None else self._name(self._object_name, target),
            count=self._number(count),
        )

    def messages(self) -> Iterator[tuple[str, str]]:
        """Yield the messages of this renderer in English, for a catalog: ``(singular, plural)``.

        A message without a plural form is yielded as ``(message, "")``.
        """
        yield _TWO, ""
        yield _MANY, ""
        yield _OTHER, _OTHERS
        yield _ALONE, _CROWD
        for verb in sorted({*self._sentences, *(one.name for one in self._verbs)}):
            forms = [self._message(verb, has_object, True) for has_object in (True, False)]
            for message in dict.fromkeys((*forms, self._message(verb, True, False))):
                yield message, message

    def _message(self, verb: str, has_object: bool, has_target: bool) -> str:
        own = self._sentences.get(verb)
        if own is not None and (has_object or "{object" not in own) and (has_target or "{target" not in own):
            return own
        words = self._verbs.get(verb).past_tense if verb in self._verbs else verb
        quoted = words.replace("{", "{{").replace("}", "}}")
        return f"{{actors}} {quoted} {{object}}" if has_object else f"{{actors}} {quoted}"

    def _listed(self, names: Sequence[Name], others: int, name_of: Callable[[Any], str]) -> str:
        """Return "Ann, Bob and 3 others"; one more name takes the place of "1 other" if it is known."""
        if isinstance(others, bool) or not isinstance(others, int) or others < 0:
            raise InvalidValueError(f"the number of others is {shown(others)}; it must be an int of 0 or more")
        most = self._most_names
        if not (len(names) == most + 1 and not others):
            others += max(len(names) - most, 0)
            names = names[:most]
        words = [self._name(name_of, name) for name in names]
        if not words:
            return self._counted(_ALONE, _CROWD, others) if others else ""
        text = words[0]
        for word in words[1 : None if others else -1]:
            text = _filled(self._translations.gettext(_MANY), names=text, name=word)
        if others:
            return self._counted(_OTHER, _OTHERS, others, text)
        if len(words) > 1:
            return _filled(self._translations.gettext(_TWO), names=text, name=words[-1])
        return text

    def _counted(self, singular: str, plural: str, others: int, names: str = "") -> str:
        message = self._translations.ngettext(singular, plural, others)
        return _filled(message, count=self._number(others), names=names)

    @staticmethod
    def _name(name_of: Callable[[Any], str], name: Name) -> str:
        found = name_of(name)
        if not isinstance(found, str):
            raise InvalidTypeError(f"the name of {shown(name)} must be a str, not {shown(found)}")
        return found


def _filled(message: str, **values: str) -> str:
    try:
        return message.format(**values)
    except (ValueError, LookupError, AttributeError):
        _check_message(message, frozenset(values), "the translation of a message")
        raise


def _check_message(message: str, fields: frozenset[str], what: str) -> None:
    """Raise :class:`InvalidValueError` unless all fields of a message are among ``fields``."""
    try:
        found = [name for _, name, _, _ in Formatter().parse(message) if name is not None]
    except (ValueError, TypeError) as error:
        raise InvalidValueError(f"{what} is no message: {shown(message)} ({error})") from None
    unknown = [name for name in found if name not in fields]
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in sorted(fields))
        raise InvalidValueError(f"{what}, {shown(message)}, has the field {{{unknown[0]}}}; the fields are {known}")
