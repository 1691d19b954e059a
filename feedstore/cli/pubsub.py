"""``feedstore pubsub``: lists, synchronises, reads, searches and empties the cache of pubsub nodes."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from feedstore.cli import pubsub_options as options
from feedstore.cli import status
from feedstore.cli.managers import imported_object
from feedstore.cli.options import is_confirmed, masked, open_existing_backend, store_url
from feedstore.cli.output import counted, print_json, print_table, printable, time_text
from feedstore.cli.streams import print_error
from feedstore.errors import EventStoreException, InvalidValueError, NotFoundError
from feedstore.logs import parse_human_time
from feedstore.pubsub.cache import PubsubCache
from feedstore.pubsub.cache_contents import result_fields
from feedstore.shown import shown
from feedstore.storage.documents import (
    Condition,
    Document,
    DocumentFilter,
    DocumentNode,
    DocumentQuery,
    DocumentStorage,
    FoundDocument,
    NodeKey,
    Order,
)

NAME = "pubsub"
HELP = "list, synchronise, read, search and empty the cache of pubsub nodes"
_TIME = re.compile(r"TP\((.*)\)", re.DOTALL)
_NONE = "-"
_MOST_DIGITS = 10
"""The number of digits of the largest position in a path."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands and their options."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, declare, run_it, help_text in (
        ("nodes", options.declare_nodes, _nodes, "list the cached nodes, with the state of their synchronisation"),
        ("sync", options.declare_sync, _sync, "synchronise a node by a cache of the application"),
        ("get", options.declare_get, _get, "print the cached items of a node"),
        ("search", options.declare_search, _search, "print the cached items that a search finds"),
        ("purge", options.declare_purge, _purge, "remove cached items; synchronised nodes then answer without them"),
        ("reparse", options.declare_reparse, _reparse, "parse cached items again by the parsers of the application"),
        ("reset", options.declare_reset, _reset, "remove all cached nodes with their items"),
    ):
        command = commands.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        declare(command)
        command.set_defaults(run_pubsub=run_it)


def run(arguments: argparse.Namespace) -> int:
    """Run the sub-command."""
    run_it: Callable[[argparse.Namespace], int] = arguments.run_pubsub
    return run_it(arguments)


def _nodes(arguments: argparse.Namespace) -> int:
    with open_existing_backend(arguments) as backend:
        nodes = backend.document_storage().nodes(_filter(arguments), limit=arguments.limit)
    if arguments.json:
        print_json([_node_fields(node) for node in nodes])
        return 0
    rows = [
        (
            *node.key,
            node.type,
            node.sync_state,
            None if node.sync_state_updated is None else time_text(node.sync_state_updated.astimezone(timezone.utc)),
            "yes" if node.subscribed else "no",
            node.sync_reason,
        )
        for node in nodes
    ]
    print_table(("account", "service", "node", "type", "state", "since", "subscribed", "reason"), rows)
    return 0


def _node_fields(node: DocumentNode) -> dict[str, Any]:
    return {
        **node.key._asdict(),
        "type": node.type,
        "subtype": node.subtype,
        "analyser": node.analyser,
        "sync_state": None if node.sync_state is None else str(node.sync_state),
        "sync_state_updated": node.sync_state_updated,
        "sync_reason": node.sync_reason,
        "subscribed": node.subscribed,
    }


def _sync(arguments: argparse.Namespace) -> int:
    with _imported_cache(arguments.cache) as cache:
        node = cache.synchronise(arguments.node, service=arguments.service, resync=arguments.resync)
    if node is None:
        raise NotFoundError(f"the node {shown(arguments.node)} was deleted during the synchronisation")
    if arguments.json:
        print_json(_node_fields(node))
    else:
        reason = f": {printable(node.sync_reason)}" if node.sync_reason else ""
        print(f"{printable(arguments.node)} is {node.sync_state or 'not synchronised'}{reason}")
    return status.DONE if node.sync_state == "completed" else status.FAILED


@contextmanager
def _imported_cache(name: str) -> Iterator[PubsubCache]:
    """Return the cache of ``MODULE:NAME``, and close it with its service at the end of the block."""
    cache: PubsubCache = imported_object(name, PubsubCache, "PubsubCache", "myapp.pubsub:cache")
    with cache.service, cache:
        yield cache


def _get(arguments: argparse.Namespace) -> int:
    key = NodeKey(arguments.account, arguments.service, arguments.node)
    with open_existing_backend(arguments) as backend:
        documents = backend.document_storage()
        if documents.get_node(key) is None:
            raise NotFoundError(
                f"the cache has no node {shown(key.name)} of {shown(key.service)} for {shown(key.account)}"
            )
        found = [FoundDocument(key, one) for one in _documents_of(documents, key, arguments)]
    _print_found(found, arguments)
    return 0


def _documents_of(documents: DocumentStorage, key: NodeKey, arguments: argparse.Namespace) -> Iterable[Document]:
    place = {name: getattr(arguments, name) for name in ("after", "before", "index")}
    if arguments.id:
        if any(one is not None for one in place.values()):
            raise InvalidValueError("pass either --id or a place: --after, --before or --index")
        return documents.get_items(key, arguments.id)
    if all(one is None for one in place.values()):
        return documents.newest(key, arguments.max, order_by=arguments.order_by or "modification")
    return documents.page(key, limit=arguments.max, order_by=arguments.order_by or "creation", **place)


def _search(arguments: argparse.Namespace) -> int:
    where = _filter(arguments)
    query = DocumentQuery(
        **vars(where),
        item_ids=arguments.id,
        text=arguments.text,
        conditions=[Condition(_path(path), op, _value(value)) for path, op, value in arguments.where],
        order_by=[_order(one) for one in arguments.order_by] or (Order("creation"),),
        index=arguments.index,
        limit=arguments.limit,
        cursor=arguments.cursor,
    )
    with open_existing_backend(arguments) as backend:
        page = backend.document_storage().search(query)
    _print_found(page.results, arguments, {"next_cursor": page.next_cursor})
    return 0


def _print_found(
    found: Iterable[FoundDocument], arguments: argparse.Namespace, others: dict[str, Any] | None = None
) -> None:
    if arguments.json:
        print_json({"items": [_fields_of(one, arguments) for one in found], **(others or {})})
        return
    if arguments.payload:
        for one in found:
            print(_printable_lines(one.document.payload.decode("utf-8", "replace")))
        return
    for one in found:
        fields = _fields_of(one, arguments)
        parsed = fields if arguments.key else one.document.parsed
        updated = time_text(one.document.updated.astimezone(timezone.utc))
        content = "" if parsed is None else printable(json.dumps(parsed, ensure_ascii=False))
        print(f"{updated}  {printable(one.key.name)}  {printable(one.document.item_id)}  {content}".rstrip())
    if others and others["next_cursor"]:
        print(f"there are more; continue with --cursor {others['next_cursor']}")


def _fields_of(found: FoundDocument, arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.key:
        parsed = found.document.parsed or {}
        return {name: parsed[name] for name in arguments.key if name in parsed}
    fields = result_fields(found)
    if not arguments.payload:
        del fields["item_payload"]
    return {**fields, "created": found.document.created, "updated": found.document.updated}


def _printable_lines(text: str) -> str:
    """Return a str with escapes for its control characters except line feeds and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.splitlines())


def _purge(arguments: argparse.Namespace) -> int:
    where = _filter(arguments)
    chosen = "the chosen items" if any(value is not None for value in vars(where).values()) else "all cached items"
    if not _may_remove(arguments, "purge", f"Remove {chosen}"):
        return status.FAILED
    with open_existing_backend(arguments) as backend:
        removed = backend.document_storage().purge(where) or 0
    _print_count(arguments, removed, "item")
    return 0


def _reset(arguments: argparse.Namespace) -> int:
    chosen = "the cached nodes of " + ", ".join(arguments.account) if arguments.account else "all cached nodes"
    if not _may_remove(arguments, "reset", f"Remove {chosen} with their items"):
        return status.FAILED
    with open_existing_backend(arguments) as backend:
        removed = backend.document_storage().reset(arguments.account) or 0
    _print_count(arguments, removed, "node")
    return 0


def _may_remove(arguments: argparse.Namespace, name: str, question: str) -> bool:
    store = printable(masked(store_url(arguments)))
    whole = f"{printable(question)} in the namespace {arguments.namespace} of {store}?"
    if arguments.force or is_confirmed(whole, f"pubsub {name}", "--force"):
        return True
    print_error("nothing was removed")
    return False


def _print_count(arguments: argparse.Namespace, removed: int, noun: str) -> None:
    if arguments.json:
        print_json({"removed": removed})
    else:
        print(f"removed {counted(removed, noun)}")


def _reparse(arguments: argparse.Namespace) -> int:
    with _imported_cache(arguments.cache) as cache:
        report = cache.reparse(_filter(arguments))
    if arguments.json:
        failed = [{**key._asdict(), "item": item, "reason": why} for (key, item), why in report.failed.items()]
        print_json({"parsed": report.parsed, "unparsed": report.unparsed, "failed": failed})
    else:
        print(f"parsed {counted(report.parsed, 'item')}; {report.unparsed:,} without a parser")
        for (key, item), why in report.failed.items():
            print_error(f"{printable(key.name)} {printable(item)}: {printable(why)}")
    return status.FAILED if report.failed else status.DONE


def _filter(arguments: argparse.Namespace) -> DocumentFilter:
    return DocumentFilter(
        accounts=arguments.account,
        services=arguments.service,
        nodes=arguments.node,
        types=_types(arguments.type),
        subtypes=_types(arguments.subtype),
        created_before=_time(getattr(arguments, "created_before", None)),
        updated_before=_time(getattr(arguments, "updated_before", None)),
    )


def _types(names: list[str] | None) -> list[str | None] | None:
    return None if names is None else [None if name == _NONE else name for name in names]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromtimestamp(_seconds(text), timezone.utc)


def _seconds(text: str) -> float:
    try:
        return parse_human_time(text)
    except EventStoreException as error:
        raise InvalidValueError(str(error)) from None


def _path(text: str) -> list[str | int]:
    return [int(step) if step.isdecimal() and len(step) <= _MOST_DIGITS else step for step in text.split(".")]


def _value(text: str) -> Any:
    found = _TIME.fullmatch(text)
    if found is not None:
        return _seconds(found[1])
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _order(text: str) -> Order:
    name, _, direction = text.rpartition(":") if text.lower().endswith((":asc", ":desc")) else (text, "", "asc")
    path = name.removeprefix("path:")
    return Order(name, direction=direction) if path == name else Order(path=_path(path), direction=direction)
