"""``python -m feedapp``, in the folder ``examples``: serve the application."""

from __future__ import annotations

import argparse
import os
import secrets

from feedapp.application import new_application
from feedapp.network import Network
from feedstore import connect
from feedstore.serve import LiveServer

STORE_VARIABLE = "FEEDSTORE_URL"
SECRET_VARIABLE = "FEEDAPP_SECRET"


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m feedapp", description="Serve a small social application.")
    store = os.environ.get(STORE_VARIABLE) or "sqlite:///feedapp.db"
    parser.add_argument("--store", metavar="URL", default=store, help=f"default: {STORE_VARIABLE}, else a SQLite file")
    parser.add_argument("--namespace", metavar="NAME", default="feedapp", help="default: %(default)s")
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", metavar="PORT", type=int, default=8641, help="default: %(default)s")
    parser.add_argument("--https", action="store_true", help="a proxy serves the site by HTTPS: protect the cookie")
    arguments = parser.parse_args()
    # A random secret invalidates the cookies of all users at each start.
    secret = os.environ.get(SECRET_VARIABLE) or secrets.token_urlsafe()
    with connect(arguments.store, namespace=arguments.namespace) as backend:
        app = new_application(Network(backend), secret, is_https=arguments.https)
        server = LiveServer(app, arguments.host, arguments.port)
        print(f"open {server.url}", flush=True)
        server.run()


if __name__ == "__main__":
    main()
