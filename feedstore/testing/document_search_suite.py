"""The contract of searches in document storages: full text, conditions, orders, indexes, and refused arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from feedstore.errors import InvalidCursorError, InvalidTypeError, InvalidValueError
from feedstore.storage import Backend
from feedstore.storage.documents import (
    Condition,
    DocumentQuery,
    DocumentStorage,
    NewDocument,
    NodeKey,
    Order,
    ParsedDocument,
    PathIndex,
    PathKind,
)
from feedstore.testing.document_suite import KEY, START, DocumentFixtures
from feedstore.testing.suite import Suite

ROWS: dict[str, Any] = {
    "i1": {"n": 1, "t": "Déjà vu", "tags": ["Blue", 2], "ok": True, "deep": {"list": [{"x": 5}]}},
    "i2": {"n": 10, "t": "a_b%c", "tags": ["red"], "ok": False},
    "i3": {"n": 2.5, "t": "axb", "tags": [], "ok": None},
    "i4": {"n": "10", "t": "DÉJÀ VU", "tags": None},
    "i5": {"n": None, "tags": "Blue"},
    "i6": None,
}
CONDITIONS: Sequence[tuple[Any, str, Any, str]] = [
    ("n", "==", 10, "2"),
    ("n", "eq", "10", "4"),
    ("n", "==", None, "56"),
    ("n", "!=", 10, "134"),
    ("n", "ne", None, "1234"),
    ("n", ">", 1, "23"),
    ("n", ">=", 1, "123"),
    ("n", "<", 10, "13"),
    ("n", "<=", 10, "123"),
    ("n", ">", "0", "4"),
    ("n", "between", [1, 2.5], "13"),
    ("n", "in", [1, "10"], "14"),
    ("n", "in", [None, 2.5], "356"),
    ("n", "in", [], ""),
    ("n", "not_in", [1, "10"], "23"),
    ("n", "not_in", [], "1234"),
    ("ok", "==", True, "1"),
    ("ok", "==", False, "2"),
    ("ok", "!=", True, "2"),
    ("ok", "in", [True, None], "13456"),
    ("tags", "overlap", ["Blue", "x"], "1"),
    ("tags", "overlap", ["blue"], ""),
    ("tags", "overlap", [2], "1"),
    ("tags", "ioverlap", ["bLUE", "RED"], "12"),
    ("tags", "disjoint", ["Blue"], "23456"),
    ("tags", "idisjoint", ["RED", "blue"], "3456"),
    ("tags", "disjoint", [], "123456"),
    ("t", "like", "a_b%", "23"),
    ("t", "like", "a\\_b\\%c", "2"),
    ("t", "like", "déjà%", ""),
    ("t", "like", "[a]%", ""),
    ("t", "ilike", "déjà%", "14"),
    ("t", "not_like", "a%", "14"),
    ("t", "not_ilike", "D%", "23"),
    (["deep", "list", 0, "x"], "==", 5, "1"),
    (["deep", "list", 1, "x"], "ne", None, ""),
    (["tags", 0], "==", "Blue", "1"),
    (["tags", "0"], "==", "Blue", ""),
    (["t", 0], "==", "a", ""),
]
"""Conditions, each with the last characters of the ids that it finds."""


class DocumentSearchSuite(DocumentFixtures):
    """Full text, conditions on paths, orders, and indexes."""

    @pytest.fixture
    def rows(self, documents: DocumentStorage) -> DocumentStorage:
        """The document storage, with a node of parsed documents."""
        documents.put_items(KEY, [NewDocument(item_id, b"", parsed=parsed) for item_id, parsed in ROWS.items()])
        return documents

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Hello", ["a", "b"]),
            ("hello WORLD", ["a"]),
            ("hello -world", ["b"]),
            ("world OR strasse", ["a", "c"]),
            ("(world OR there) hello", ["a", "b"]),
            ('"hello there"', ["b"]),
            ('"there hello"', []),
            ("wor*", ["a"]),
            ("hello-wor*", ["a"]),
            ("STRASSE deja", ["c"]),
            ("東京", ["d"]),
            ("京東", []),
            ("hello'; DROP TABLE x", []),
            ("hello AND NOT world", ["b"]),
            ("hello NOT (world OR there)", []),
            ("title", []),
            ("hello " + "-x " * 300, ["a", "b"]),
            ("y OR NOT x hello NOT (" * 9 + "(y)" + ")" * 9, ["a", "b"]),
        ],
    )
    def test_full_text(self, documents: DocumentStorage, text: str, expected: list[str]) -> None:
        """D7: words, phrases, beginnings, alternatives and exclusions."""
        texts = {"a": "hello world", "b": "Hello, there!", "c": "Straße déjà-vu", "d": "東京都", "e": ""}
        documents.put_items(KEY, [NewDocument(name, b"<title/>", text=words) for name, words in texts.items()])
        assert self.found(documents, DocumentQuery(text=text)) == expected

    def test_full_text_follows_changes(self, documents: DocumentStorage) -> None:
        """D7: by rank, the best match first; changed and removed words are not found."""
        texts = {"a": "word " + "other " * 50, "b": "word word word"}
        documents.put_items(KEY, [NewDocument(name, b"", text=text) for name, text in texts.items()])
        ranked = DocumentQuery(text="word", order_by=[Order("rank")])
        assert self.found(documents, ranked) == ["b", "a"]
        assert self.found(documents, replace(ranked, order_by=[Order("rank", direction="DESC")])) == ["a", "b"]
        (before,) = documents.get_items(KEY, ["b"])
        changes = [ParsedDocument("b", before.updated, {"n": 1}, "else"), ParsedDocument("a", START, None, "else")]
        assert documents.set_parsed(KEY, changes) == 1
        (after,) = documents.get_items(KEY, ["b"])
        assert (after.parsed, after.updated, after.payload) == ({"n": 1}, before.updated, b"")
        assert self.found(documents, ranked) == ["a"]
        assert documents.remove_items(KEY, ["a", "x"]) == 1
        assert self.found(documents, DocumentQuery(text="word OR else")) == ["b"]

    def test_conditions_on_paths(self, rows: DocumentStorage) -> None:
        """D8: every operator, with values of other types, null and missing."""
        for path, op, value, expected in CONDITIONS:
            query = DocumentQuery(conditions=[Condition(path, op, value)])
            assert self.found(rows, query) == [f"i{digit}" for digit in expected], (path, op, value)
        both = [Condition("n", "gt", 1), Condition("ok", "eq", False)]
        assert self.found(rows, DocumentQuery(conditions=both)) == ["i2"]

    def test_hostile_paths_and_values_are_values(self, documents: DocumentStorage) -> None:
        """D8: quotes, placeholders and operators of SQL are ordinary characters."""
        for text in ("a'b", "a?b", "a%sb", "{}", "$.x", "'; DROP TABLE feedstore_pubsub_item; --", "é.ß"):
            documents.put_items(KEY, [NewDocument("x", b"", parsed={text: {text: text, "0": 1}})])
            conditions = [Condition([text, text], "==", text), Condition([text, text], "like", f"%{text[-1]}")]
            assert self.found(documents, DocumentQuery(conditions=conditions)) == ["x"], text
            assert self.found(documents, DocumentQuery(conditions=[Condition([text, 0], "ne", None)])) == []
            ordered = DocumentQuery(order_by=[Order(path=[text, text])], item_ids=[text, "x"])
            assert self.found(documents, ordered) == ["x"]

    def test_orders_of_searches(self, rows: DocumentStorage) -> None:
        """D9: numbers as numbers, before strs; documents without a value are the last in both directions."""
        by_n = ["i1", "i3", "i2", "i4"]
        orders: list[tuple[list[Order], list[str]]] = [
            ([Order(path="n")], [*by_n, "i5", "i6"]),
            ([Order(path="n", direction="Desc")], [*by_n[::-1], "i6", "i5"]),
            ([Order(path="n", direction="desc"), Order("item_id")], [*by_n[::-1], "i5", "i6"]),
            ([Order("item_id", direction="desc")], ["i6", "i5", "i4", "i3", "i2", "i1"]),
            ([Order("modification")], sorted(ROWS)),
            ([], sorted(ROWS)),
        ]
        for order_by, expected in orders:
            assert self.found(rows, DocumentQuery(order_by=order_by)) == expected, order_by
        assert self.found(rows, DocumentQuery(index=4)) == ["i5", "i6"]
        assert self.found(rows, DocumentQuery(index=2**63)) == []
        page = rows.search(DocumentQuery(limit=2))
        rows.remove_items(KEY, ["i1"])
        rows.put_items(KEY, [NewDocument("i7", b"")])
        following = DocumentQuery(cursor=page.next_cursor)
        assert [one.document.item_id for one in rows.search(following)] == ["i3", "i4", "i5", "i6", "i7"]
        for changed in (replace(following, text="x"), replace(following, cursor="AAAA"), DocumentQuery(cursor="é")):
            with pytest.raises(InvalidCursorError):
                rows.search(changed)

    def test_indexes_on_paths_change_no_result(self, rows: DocumentStorage) -> None:
        """D12: with long strs, and with values of all kinds at the path."""
        rows.put_items(KEY, [NewDocument("i7", b"", parsed={"n": "é" * 5000, "t": "x"})])
        indexes = [PathIndex(("n",), kind) for kind in PathKind]
        try:
            assert [rows.ensure_path_index("n", kind) for kind in PathKind] == [True, True]
            assert rows.ensure_path_index(["n"], "number") is False
            assert set(indexes) <= set(rows.path_indexes())
            rows.put_items(KEY, [NewDocument("i8", b"", parsed={"n": 7})])
            for op, value, expected in (
                ("gt", 2, ["i2", "i3", "i8"]),
                ("gt", "é", ["i7"]),
                ("in", [7, "10"], ["i4", "i8"]),
            ):
                assert self.found(rows, DocumentQuery(conditions=[Condition("n", op, value)])) == expected
        finally:
            assert [rows.drop_path_index("n", kind) for kind in PathKind] == [True, True]
        assert rows.drop_path_index("n", "text") is False


class DocumentArgumentSuite(Suite):
    """The refusals of arguments."""

    def test_values_are_refused(self, backend: Backend) -> None:
        """D6: by name, before anything is written."""
        documents = backend.document_storage()
        documents.add_node(KEY)
        for document in BAD_DOCUMENTS:
            with pytest.raises((InvalidValueError, InvalidTypeError)):
                documents.put_items(KEY, [NewDocument("good", b""), document])
        for key in (NodeKey("", "s", "n"), NodeKey("a", "s", "\0"), NodeKey("a" * 1000, "s" * 1000, "n" * 1000)):
            with pytest.raises(InvalidValueError):
                documents.get_node(key)
        assert documents.page(KEY, limit=1).count == 0

    def test_queries_are_refused(self, backend: Backend) -> None:
        """D6, D7, D8, D9: each with an error that is a ValueError or a TypeError."""
        documents = backend.document_storage()
        for query in BAD_QUERIES:
            with pytest.raises((InvalidValueError, InvalidTypeError)):
                documents.search(query)
        for request in (
            {"limit": -1},
            {"limit": 10_001},
            {"limit": 1, "after": "a", "index": 0},
            {"limit": 1, "order_by": "rank"},
        ):
            with pytest.raises(InvalidValueError):
                documents.page(KEY, **request)
        for read in (documents.newest, lambda key, limit: documents.nodes(limit=limit)):
            with pytest.raises(InvalidValueError, match="10001"):
                read(KEY, 10_001)


DEEP: Any = []
for _ in range(101):
    DEEP = [DEEP]
TEXT: Any = "text"
BAD_PARSED: list[Any] = [
    {"a": "\0"},
    {"\ud800": 1},
    {1: 1},
    {"a": 2**63},
    {"a": float("nan")},
    {"a": DEEP},
    {"a": {1}},
    [1],
]
BAD_PATHS: list[Any] = ["", [], ['a"b'], ["a\\"], [-1], [None], "\0"]
BAD_DOCUMENTS: list[Any] = [
    {"item_id": "x"},
    NewDocument("", b""),
    NewDocument("\ud800", b""),
    NewDocument("x", TEXT),
    NewDocument("x", b"", "é" * ((32 << 10) + 1)),
    NewDocument("x", b"x" * ((16 << 20) + 1)),
    NewDocument("x", b"", created=START.replace(tzinfo=None)),
    NewDocument("x", b"", updated=datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))),
    *(NewDocument("x", b"", parsed=parsed) for parsed in BAD_PARSED),
]
BAD_QUERIES = [
    *(
        DocumentQuery(text=text)
        for text in ("", "-a", '"a', "(a", "a)", "a OR", "a NOT", "a NOT )", "!!", "(" * 11 + "a" + ")" * 11)
    ),
    *(DocumentQuery(conditions=[Condition(path, "eq", 1)]) for path in BAD_PATHS),
    *(
        DocumentQuery(conditions=[Condition("a", op, value)])
        for op, value in (
            ("=>", 1),
            ("between", [1, "b"]),
            ("gt", None),
            ("eq", [1]),
            ("like", 1),
            ("in", 5),
            ("eq", "x" * 501),
        )
    ),
    *(DocumentQuery(order_by=[order]) for order in (Order("rank"), Order("n"), Order(), Order("creation", "a"))),
    DocumentQuery(order_by=[Order("creation", direction="up")]),
    DocumentQuery(order_by=[Order("creation")] * 21),
    DocumentQuery(limit=0),
    DocumentQuery(limit=10_001),
    DocumentQuery(accounts=[None]),  # type: ignore[list-item]
    DocumentQuery(types=[[]]),  # type: ignore[list-item]
]
