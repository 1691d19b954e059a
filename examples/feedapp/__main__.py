"""``python -m feedapp``, in the folder ``examples``: serve the application."""

from __future__ import annotations

import argparse
import os
import secrets

from feedapp.application import new_application
from feedstore import connect
from feedstore.serve import LiveServer

SECRET_VARIABLE = "FEEDAPP_SECRET"


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m feedapp", description=__doc__)
    parser.add_argument("--store", metavar="URL", default="sqlite:///feedapp.db", help="default: %(default)s")
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", metavar="PORT", type=int, default=8641, help="default: %(default)s")
    arguments = parser.parse_args()
    # A random secret invalidates the cookies of all users at each start.
    secret = os.environ.get(SECRET_VARIABLE) or secrets.token_urlsafe()
    with connect(arguments.store, namespace="feedapp") as backend:
        server = LiveServer(new_application(backend, secret), arguments.host, arguments.port)
        print(f"open {server.url}", flush=True)
        server.run()


if __name__ == "__main__":
    main()
