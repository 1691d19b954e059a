"""``feedstore serve``: pages that show timelines and events live."""

from __future__ import annotations

import argparse
import re
import secrets

from feedstore.cli.options import add_namespace_option, add_store_option, masked, open_existing_backend, store_url
from feedstore.shown import shown

NAME = "serve"
HELP = "show timelines and events in a browser, with new entries live"
_DEFAULT_HOST = "127.0.0.1"
_DEFAULT_PORT = 8640
_HIGHEST_PORT = 65_535
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where to serve, and the store."""
    parser.add_argument(
        "--host", metavar="ADDRESS", default=_DEFAULT_HOST, help="the address to serve at (default: %(default)s)"
    )
    parser.add_argument(
        "--port", metavar="PORT", type=_port, default=_DEFAULT_PORT, help="0 is a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--root-path",
        metavar="PATH",
        type=_root_path,
        default="",
        help="the path that a proxy serves this site under, such as /feeds",
    )
    add_store_option(parser)
    add_namespace_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the address and serve until interrupted. A visitor who opens it may see all timelines and events."""
    # Imported here, because the other commands work without the extra.
    from feedstore.serve import LiveServer, new_viewer

    with open_existing_backend(arguments) as backend:
        backend.ping()
        token = secrets.token_urlsafe(24)
        about = f"{masked(store_url(arguments))}, namespace {arguments.namespace}"
        root_path = arguments.root_path
        server = LiveServer(new_viewer(backend, token, about, root_path), arguments.host, arguments.port)
        print(
            f"serving {about}", f"open {server.url}{root_path}/?token={token}", "stop with Ctrl-C", sep="\n", flush=True
        )
        server.run()
    return 0


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= _HIGHEST_PORT):
        raise argparse.ArgumentTypeError(f"it is a port from 0 to {_HIGHEST_PORT}, not {shown(text)}")
    return int(text)


def _root_path(text: str) -> str:
    path = text.rstrip("/")
    if not _ROOT_PATH.fullmatch(path):
        raise argparse.ArgumentTypeError(
            f"it is a path such as /feeds, of letters, digits and -._~ /, not {shown(text)}"
        )
    return path
