"""A web server of the tests, in a thread, whose paths the test sets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from feedstore.pubsub import ServiceItem
from feedstore.pubsub.web_requests import WebOptions
from servers.ports import LOOPBACK

LOCAL = WebOptions(allow=("127.0.0.0/8",), timeout=20)
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>Ann</title><id>urn:f</id><updated>2026-05-02T00:00:00Z</updated>
{}</feed>"""
ENTRY = """<entry><id>urn:{0}</id><title>Entry {0}</title><link href="/{0}"/><updated>2026-05-0{0}T00:00:00Z</updated>
<content type="html">&lt;p&gt;Text {0}&lt;/p&gt;&lt;script&gt;x()&lt;/script&gt;</content>
<author><name>Ann</name></author></entry>"""


@dataclass
class Request:
    """A request that the server received."""

    method: str
    path: str
    headers: Message
    body: bytes


@dataclass
class Page:
    """The answer to requests of a path. ``write`` replaces the whole answer: it writes bytes to the client."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    write: Callable[[Callable[[bytes], object]], object] | None = None


class WebServer:
    """A server with the pages of a test. ``requests`` lists the requests in their order."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[Request] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                server.requests.append(Request(self.command, self.path, self.headers, self.rfile.read(length)))
                page = server.pages.get(self.path, Page(status=404))
                if page.write is not None:
                    page.write(self._send)
                    return
                status, body = page.status, page.body
                etag = page.headers.get("ETag")
                if etag is not None and self.headers.get("If-None-Match") == etag:
                    status, body = 304, b""
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **page.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self._send(body)

            do_POST = do_GET  # noqa: N815 - the name that the handler calls

            def _send(self, data: bytes) -> bool:
                """Return whether the client still reads."""
                try:
                    self.wfile.write(data)
                    self.wfile.flush()
                except OSError:
                    return False
                return True

            def log_message(self, *arguments: object) -> None:
                """Write no log."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        """Return the address of the server."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> WebServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def atom(*numbers: int) -> bytes:
    """A feed in Atom with the entries of the numbers."""
    return ATOM.format("".join(ENTRY.format(number) for number in numbers)).encode()


def ids(items: tuple[ServiceItem, ...]) -> list[str]:
    """The ids of items."""
    return [one.id for one in items]
