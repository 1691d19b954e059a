"""The options that sub-commands share."""

from __future__ import annotations

import argparse
import os

from feedstore.errors import InvalidValueError

URL_VARIABLE = "FEEDSTORE_URL"


def add_store_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--store URL``."""
    parser.add_argument("--store", metavar="URL", help=f"the store's URL (default: what {URL_VARIABLE} holds)")


def store_url(arguments: argparse.Namespace) -> str:
    """Return the store's URL, or raise :class:`InvalidValueError` if neither the option nor the variable is given."""
    url: str | None = arguments.store or os.environ.get(URL_VARIABLE)
    if not url:
        raise InvalidValueError(f"name the store: --store URL, such as sqlite:///feeds.db, or set {URL_VARIABLE}")
    return url
