"""The options that sub-commands share."""

from __future__ import annotations

import argparse
import os
import re
import sys
from urllib.parse import parse_qs, urlsplit

from feedstore.errors import InvalidValueError
from feedstore.registry import connect, load_backend, scheme_of
from feedstore.shown import shown
from feedstore.storage import Backend
from feedstore.storage.session import DEFAULT_NAMESPACE

URL_VARIABLE = "FEEDSTORE_URL"
_SECRET_IN_QUERY = re.compile(r"((?:^|&)[^=&]*(?:password|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)
_MASK = "***"


def add_store_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--store URL``."""
    parser.add_argument("--store", metavar="URL", help=f"the store's URL (default: the value of {URL_VARIABLE})")


def add_namespace_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--namespace NAME``."""
    parser.add_argument(
        "--namespace", metavar="NAME", default=DEFAULT_NAMESPACE, help="the store's namespace (default: %(default)s)"
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document, for programs")


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--store``, ``--namespace`` and ``--json``."""
    add_store_option(parser)
    add_namespace_option(parser)
    add_json_option(parser)


def store_url(arguments: argparse.Namespace) -> str:
    """Return the store's URL, or raise :class:`InvalidValueError` if neither the option nor the variable is given."""
    url: str | None = arguments.store
    if url is None:
        url = os.environ.get(URL_VARIABLE) or None
    elif not url:
        raise InvalidValueError(
            f"--store is empty; pass a URL such as sqlite:///feeds.db, or leave --store out to use {URL_VARIABLE}"
        )
    if url is None:
        raise InvalidValueError(f"name the store: --store URL, such as sqlite:///feeds.db, or set {URL_VARIABLE}")
    return url


def open_backend(arguments: argparse.Namespace) -> Backend:
    """Return the backend of ``--store`` and ``--namespace``, which connects at its first use."""
    return connect(store_url(arguments), namespace=arguments.namespace)


def open_existing_backend(arguments: argparse.Namespace) -> Backend:
    """Return the backend for a command that only reads: it creates and migrates nothing, and refuses a missing store.

    The options in the URL have precedence.
    """
    return open_existing(store_url(arguments), arguments.namespace)


def open_existing(url: str, namespace: str) -> Backend:
    """Return the backend of a URL for reading, as :func:`open_existing_backend` does."""
    given = parse_qs(url.partition("?")[2], keep_blank_values=True)
    options = load_backend(scheme_of(url)).options_to_read
    missing = {name: value for name, value in options.items() if name not in given}
    return connect(url, namespace=namespace, **missing)


def masked(url: str) -> str:
    """Return a URL with every password in it masked."""
    parts = urlsplit(url)
    user, separator, host = parts.netloc.rpartition("@")
    name, has_password, _ = user.partition(":")
    netloc = f"{name}:{_MASK}@{host}" if has_password else f"{user}{separator}{host}"
    query = _SECRET_IN_QUERY.sub(rf"\g<1>{_MASK}", parts.query)
    rest = url.partition("://")[2].partition("?")[0][len(parts.netloc) :]
    return f"{parts.scheme}://{netloc}{rest}" + (f"?{query}" if query else "")


def is_confirmed(question: str, command: str, option: str) -> bool:
    """Ask a question on the terminal, and return whether the answer is yes.

    Raises:
        InvalidValueError: There is no terminal. The error names the command, and the option that answers yes.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidValueError(f"{command} asks before it acts, and there is no terminal to ask on; pass {option}")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def at_least_one(text: str) -> int:
    """Return the int of an option's value. Raises argparse's error unless it is 1 or more."""
    return _integer(text, 1)


def zero_or_more(text: str) -> int:
    """Return the int of an option's value. Raises argparse's error unless it is 0 or more."""
    return _integer(text, 0)


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"it is a whole number of {least} or more, not {shown(text)}")
    return value
