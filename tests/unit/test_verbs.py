"""Verbs and their registry."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from feedstore import Verb, VerbRegistry
from feedstore.errors import InvalidTypeError, InvalidValueError, NotFoundError

LIKE, COMMENT = Verb("like", "liked"), Verb("comment", past_tense="commented on")


def test_a_verb_is_a_frozen_value() -> None:
    assert Verb("like", "liked") == LIKE
    assert hash(Verb("like", "liked")) == hash(LIKE)
    assert Verb("like") != LIKE
    assert pickle.loads(pickle.dumps(LIKE)) == LIKE
    with pytest.raises(AttributeError):
        LIKE.name = "love"  # type: ignore[misc]


def test_the_words_of_a_verb() -> None:
    assert (LIKE.name, LIKE.infinitive, LIKE.past_tense, str(LIKE)) == ("like", "like", "liked", "like")
    assert Verb("see").past_tense == "see"


@pytest.mark.parametrize(("name", "error"), [("", InvalidValueError), (None, InvalidTypeError), (7, InvalidTypeError)])
def test_a_verb_needs_a_name(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="name"):
        Verb(name)


def test_a_registry_knows_its_verbs_by_name() -> None:
    registry = VerbRegistry([LIKE])
    registry.register(COMMENT)
    registry.register(Verb("like", "liked"))
    assert registry.get("like") is LIKE
    assert registry.get("comment") is COMMENT
    assert list(registry) == [LIKE, COMMENT]
    assert len(registry) == 2
    assert "like" in registry
    assert "see" not in registry
    assert 7 not in registry


def test_registries_share_nothing() -> None:
    VerbRegistry([LIKE]).register(COMMENT)
    assert len(VerbRegistry()) == 0


def test_an_unknown_verb_is_a_lookup_error() -> None:
    with pytest.raises(NotFoundError, match="see") as caught:
        VerbRegistry([LIKE]).get("see")
    assert isinstance(caught.value, LookupError)


def test_two_verbs_of_one_name_are_refused() -> None:
    registry = VerbRegistry([LIKE])
    with pytest.raises(InvalidValueError, match="like"):
        registry.register(Verb("like", "was fond of"))
    assert registry.get("like") is LIKE


@pytest.mark.parametrize("refused", ["like", None, 7, Verb])
def test_what_is_no_verb_is_refused(refused: Any) -> None:
    with pytest.raises(InvalidTypeError, match="Verb"):
        VerbRegistry().register(refused)
