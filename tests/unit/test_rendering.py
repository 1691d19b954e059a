"""Sentences about activities, and their translations."""

from __future__ import annotations

import gettext
import io
import struct
from dataclasses import dataclass, field
from typing import Any

import pytest

from feedstore import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.rendering import SentenceRenderer
from feedstore.verbs import Verb, VerbRegistry

LIKE = Verb("like", "liked")
VERBS = VerbRegistry([LIKE, Verb("login", "logged in"), Verb("add", "added")])


def renderer(**options: Any) -> SentenceRenderer:
    return SentenceRenderer(VERBS, **{"actor_name": str.title, **options})


@dataclass
class Group:
    actor_ids: list[str | int] = field(default_factory=lambda: ["ann", "bob"])
    actor_count: int = 5
    verb: str | Verb = "like"
    object_ids: list[str | int | None] = field(default_factory=lambda: ["photo 7"])


@pytest.mark.parametrize(
    ("actors", "others", "sentence"),
    [
        (["ann"], 0, "Ann liked photo 7"),
        (["ann", "bob"], 0, "Ann and Bob liked photo 7"),
        (["ann", "bob", "cem"], 0, "Ann, Bob and Cem liked photo 7"),
        (["ann", "bob", "cem", "dan"], 0, "Ann, Bob and 2 others liked photo 7"),
        (["ann", "bob"], 3, "Ann, Bob and 3 others liked photo 7"),
        (["ann", "bob", "cem"], 1, "Ann, Bob and 2 others liked photo 7"),
        (["ann"], 1, "Ann and 1 other liked photo 7"),
        ([], 1, "1 other liked photo 7"),
        ([], 1204, "1,204 others liked photo 7"),
    ],
)
def test_actors_are_named_and_counted(actors: list[str], others: int, sentence: str) -> None:
    assert renderer(number="{:,}".format).sentence(actors, "like", "photo 7", other_actors=others) == sentence


def test_objects_are_named_and_counted() -> None:
    one = renderer(object_name="photo {}".format)
    assert one.sentence(["ann"], LIKE, 7) == "Ann liked photo 7"
    assert one.sentence(["ann"], "like", [7, 8]) == "Ann liked photo 7 and photo 8"
    assert one.sentence(["ann"], "like", [7, 8, 9, 10]) == "Ann liked photo 7, photo 8 and 2 others"
    assert one.sentence(["ann"], "like", [7], other_objects=2) == "Ann liked photo 7 and 2 others"
    assert one.sentence(["ann"], "login") == "Ann logged in"
    assert renderer(most_names=1).sentence(["ann", "bob", "cem"], "login") == "Ann and 2 others logged in"


def test_activities_and_groups_are_rendered() -> None:
    one = renderer(sentences={"add": "{actors} added {object} to {target}"})
    assert one.render(Activity("ann", "like", "photo 7")) == "Ann liked photo 7"
    assert one.render(Activity("ann", "login")) == "Ann logged in"
    assert one.render(Activity("ann", "add", "photo 7", "album 1")) == "Ann added photo 7 to album 1"
    assert one.render(Activity("ann", "add", "photo 7")) == "Ann added photo 7"
    assert one.render(Activity("ann", "wave", 7)) == "Ann wave 7"
    assert one.render(Group()) == "Ann, Bob and 3 others liked photo 7"
    assert one.render(Group(["ann"], 1, LIKE, [None])) == "Ann liked"
    assert Activity("ann", "login").to_dict(one.render)["sentence"] == "Ann logged in"
    assert SentenceRenderer().render(Activity(1, "like", 7)) == "1 like 7"


class Polish(gettext.GNUTranslations):
    """A catalog of three plural forms, in the format of compiled catalogs."""

    def __init__(self, messages: dict[str, str]) -> None:
        plurals = "n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2"
        header = f"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=3; plural={plurals};\n"
        pairs = sorted((one.encode(), other.encode()) for one, other in {"": header, **messages}.items())
        start = 28 + 16 * len(pairs)
        tables, strings = [b"", b""], b""
        for side in (0, 1):
            for pair in pairs:
                tables[side] += struct.pack("<II", len(pair[side]), start + len(strings))
                strings += pair[side] + b"\0"
        numbers = (0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
        super().__init__(io.BytesIO(struct.pack("<7I", *numbers) + tables[0] + tables[1] + strings))


def test_a_catalog_translates_all_messages() -> None:
    polish = Polish(
        {
            "{names} and {name}": "{names} i {name}",
            "{names}, {name}": "{names}, {name}",
            "{names} and {count} other\0{names} and {count} others": (
                "{names} i {count} inna osoba\0{names} i {count} inne osoby\0{names} i {count} innych osób"
            ),
            "{actors} liked {object}\0{actors} liked {object}": (
                "{actors} lubi {object}\0{actors} lubią {object}\0{actors} lubi {object}"
            ),
        }
    )
    one = renderer(translations=polish)
    assert one.sentence(["ann"], "like", "zdjęcie") == "Ann lubi zdjęcie"
    assert one.sentence(["ann", "bob"], "like", "zdjęcie") == "Ann i Bob lubią zdjęcie"
    assert one.sentence(["ann", "bob"], "like", "zdjęcie", other_actors=1) == "Ann, Bob i 1 inna osoba lubią zdjęcie"
    assert one.sentence(["ann", "bob"], "like", "zdjęcie", other_actors=5) == "Ann, Bob i 5 innych osób lubi zdjęcie"
    assert ("{names} and {count} other", "{names} and {count} others") in list(one.messages())
    assert ("{actors} liked {object}", "{actors} liked {object}") in list(one.messages())


class Recorder(gettext.NullTranslations):
    """Records the messages that are translated."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, str]] = set()

    def gettext(self, message: str) -> str:
        self.seen.add((message, ""))
        return message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        self.seen.add((msgid1, msgid2))
        return super().ngettext(msgid1, msgid2, n)


def test_the_messages_are_those_that_sentences_need() -> None:
    recorder = Recorder()
    one = renderer(translations=recorder, sentences={"add": "{actors} added {object} to {target}"})
    for verb in ("like", "login", "add"):
        for objects in ([], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]):
            for target in (None, "album"):
                one.sentence(["ann"], verb, objects, target=target)
                one.sentence([], verb, objects, target=target, other_actors=2)
    assert recorder.seen == set(one.messages())


def test_words_with_braces_are_words() -> None:
    one = SentenceRenderer(VerbRegistry([Verb("like", "{liked}")]))
    assert one.sentence(["{actors.__class__}"], "like", "{0}") == "{actors.__class__} {liked} {0}"


@pytest.mark.parametrize("message", ["{actors} {who}", "{actors.name}", "{", "{}", "{actors[0]}"])
def test_a_message_with_other_fields_is_refused(message: str) -> None:
    with pytest.raises(InvalidValueError, match="'like'"):
        renderer(sentences={"like": message})


def test_faults_are_named() -> None:
    class Wrong(gettext.NullTranslations):
        def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
            return "{people} liked it"

    with pytest.raises(InvalidValueError, match=r"\{people\}; the fields are \{actors\}"):
        renderer(translations=Wrong()).sentence(["ann"], "like", 7)
    names: dict[str, Any] = {"ann": None}
    with pytest.raises(InvalidTypeError, match="name of 'ann' must be a str, not None"):
        renderer(actor_name=names.get).sentence(["ann"], "like")
    with pytest.raises(InvalidTypeError, match="actor_ids"):
        renderer().render(7)  # type: ignore[arg-type]
    for most in (0, True, "2"):
        with pytest.raises(InvalidValueError, match="most_names"):
            renderer(most_names=most)
    for others in (-1, True, 1.5):
        with pytest.raises(InvalidValueError, match="number of others"):
            renderer().sentence(["ann"], "like", other_actors=others)  # type: ignore[arg-type]
