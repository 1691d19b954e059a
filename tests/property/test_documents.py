"""Document storages against a model of a dictionary, on both databases."""

from __future__ import annotations

import random

import pytest

import soak
from feedstore.storage.documents import Condition, DocumentQuery, DocumentStorage, NewDocument, NodeKey, Order
from feedstore.testing import OpenBackend

KEYS = [NodeKey(account, "service", "node") for account in ("ann", "bob")]
WORDS = ["red", "green", "blue", "déjà", "東京"]
Model = dict[NodeKey, dict[str, tuple[bytes, int | None, str]]]


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql"])
def test_a_document_storage_does_what_the_model_does(open_backend: OpenBackend) -> None:
    for seed in range(soak.count(1, 30)):
        documents, chosen = open_backend().document_storage(), random.Random(seed)
        model: Model = {key: {} for key in KEYS}
        for key in KEYS:
            documents.add_node(key)
        for _ in range(soak.count(20, 200)):
            step(documents, model, chosen)
        for key in KEYS:
            check(documents, model, key, chosen)


def step(documents: DocumentStorage, model: Model, chosen: random.Random) -> None:
    """Change the storage and the model alike. A dictionary keeps the order of creation."""
    key, item_id = chosen.choice(KEYS), f"i{chosen.randrange(12)}"
    if chosen.random() < 0.2:
        assert documents.remove_items(key, [item_id]) == (model[key].pop(item_id, None) is not None)
        return
    number = chosen.choice([None, chosen.randrange(-5, 5)])
    text = " ".join(chosen.choices(WORDS, k=chosen.randrange(4)))
    payload = chosen.randbytes(chosen.randrange(20))
    documents.put_items(key, [NewDocument(item_id, payload, parsed={"n": number}, text=text)])
    model[key][item_id] = (payload, number, text)


def check(documents: DocumentStorage, model: Model, key: NodeKey, chosen: random.Random) -> None:
    """Compare pages, searches and orders with those of the model."""
    stored = model[key]
    order, limit = list(stored), chosen.randrange(1, 5)
    for start in range(0, len(order), limit):
        page = documents.page(key, limit=limit, index=start)
        assert [one.item_id for one in page] == order[start : start + limit]
        assert [one.payload for one in page] == [stored[one][0] for one in order[start : start + limit]]
        after = documents.page(key, limit=limit, after=order[start])
        assert [one.item_id for one in after] == order[start + 1 : start + 1 + limit]
        before = documents.page(key, limit=limit, before=order[start])
        assert [one.item_id for one in before] == order[max(0, start - limit) : start]
    account = [key.account]
    for word in WORDS:
        expected = [name for name in order if word in stored[name][2].split()]
        assert found(documents, DocumentQuery(accounts=account, text=word.upper())) == expected
    limit_of_numbers = chosen.randrange(-5, 5)
    numbers = {name: number for name in order if (number := stored[name][1]) is not None}
    below = [name for name, number in numbers.items() if number < limit_of_numbers]
    conditions = [Condition("n", "<", limit_of_numbers)]
    assert found(documents, DocumentQuery(accounts=account, conditions=conditions)) == below
    missing = [name for name in order if name not in numbers]
    by_number = DocumentQuery(accounts=account, order_by=[Order(path="n")])
    assert found(documents, by_number) == [*sorted(numbers, key=lambda name: numbers[name]), *missing]


def found(documents: DocumentStorage, query: DocumentQuery) -> list[str]:
    """The ids that a query finds."""
    return [result.document.item_id for result in documents.search(query)]
