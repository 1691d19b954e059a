"""HTTP requests to addresses of strangers: within limits, and never to a private network."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urljoin, urlsplit

from feedstore.errors import (
    InvalidValueError,
    MissingDriverError,
    PubsubError,
    PubsubServiceError,
    PubsubTimeoutError,
    PubsubUnavailableError,
)
from feedstore.forks import unlocked_property
from feedstore.shown import shown

try:
    import httpcore
    import httpx
except ImportError:
    raise MissingDriverError("web feeds need httpx: pip install 'feedstore[feeds]'") from None

IpAddress = IPv4Address | IPv6Address
_NAT64 = ip_network("64:ff9b::/96")
# Networks that Python 3.11 counts as public: protocol assignments, where a cloud has its metadata, the old relays of
# 6to4, documentation, and site-local addresses.
_NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "fec0::/10")))
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 65536
_GZIP_BITS = 16 + zlib.MAX_WBITS
_GZIP_MEMBER = b"\x1f\x8b"
_LONGEST_URL = 2048


@dataclass(frozen=True)
class WebResponse:
    """The answer to a request.

    Attributes:
        url: the address that answered, after redirects.
        status: the status code of HTTP.
        headers: the headers by their lower-case names.
        body: the whole body, without its compression.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class WebOptions:
    """The limits of requests.

    Attributes:
        allow: networks that may be reached although they are private, such as ``10.1.0.0/16`` or ``::1``.
        largest: the number of bytes of the largest body, both compressed and not.
        timeout: the seconds of a whole request with its redirects.
        redirects: the number of redirects that are followed.
        user_agent: the name of the client.
    """

    allow: tuple[str, ...] = ()
    largest: int = 8 * 1024 * 1024
    timeout: float = 30.0
    redirects: int = 5
    user_agent: str = "feedstore"

    def __post_init__(self) -> None:
        networks_of(self.allow)
        for name in ("largest", "timeout"):
            if not getattr(self, name) > 0:
                raise InvalidValueError(f"{name} must be more than 0, not {shown(getattr(self, name))}")
        if self.redirects < 0:
            raise InvalidValueError(f"redirects must be 0 or more, not {shown(self.redirects)}")


class WebClient:
    """A client of HTTP. Threads may share it; each request has its own connection.

    A name is resolved once for each connection, and the connection goes to the address that was checked. So a name
    that resolves to another address later cannot lead into a private network. Each redirect is checked like the first
    request. No proxy is used, and no cookie is kept. ``SSL_CERT_FILE`` may name other authorities of certificates.
    """

    def __init__(self, options: WebOptions) -> None:
        self.options = options
        self._networks = networks_of(options.allow)

    @unlocked_property
    def _tls(self) -> ssl.SSLContext:
        # Loading the certificates takes longer than most requests to a server of this machine.
        return httpx.create_ssl_context()

    def request(
        self, url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> WebResponse:
        """Send a request, and follow redirects: a GET, or a POST of a form, which follows none.

        Raises:
            PubsubServiceError: The address is refused (condition ``policy-violation``), the body is too large, or the
                answer is no valid HTTP.
            PubsubTimeoutError: The whole request took longer than its timeout.
            PubsubUnavailableError: The host does not exist, or accepts no connection.
        """
        ends = time.monotonic() + self.options.timeout
        backend = _CheckedBackend(self._networks, ends)
        left = self.options.redirects if form is None else 0
        sent = {"user-agent": self.options.user_agent, "accept-encoding": "gzip", **(headers or {})}
        with httpcore.ConnectionPool(
            ssl_context=self._tls, network_backend=backend, max_keepalive_connections=0
        ) as pool:
            transport = _Transport(pool)
            while True:
                response = self._one(transport, url, sent, form, ends)
                target = response.headers.get("location")
                if response.status not in _REDIRECTS or target is None or form is not None:
                    return response
                if left == 0:
                    raise PubsubServiceError(
                        f"{shown(url)} redirects more than {self.options.redirects} times", "policy-violation"
                    )
                left -= 1
                url = _redirected(url, target)

    def _one(
        self, transport: _Transport, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None, ends: float
    ) -> WebResponse:
        check_url(url)
        method = "GET" if form is None else "POST"
        try:
            request = httpx.Request(method, url, headers=dict(headers), data=None if form is None else dict(form))
            with closing(transport.handle_request(request)) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                redirected = response.status_code in _REDIRECTS
                body = b"" if redirected else self._body(url, response, found, ends)
                return WebResponse(url, response.status_code, found, body)
        except PubsubError:
            raise
        except httpcore.TimeoutException as error:
            raise _timeout(url, self.options.timeout) from error
        except (httpcore.NetworkError, OSError) as error:
            raise PubsubUnavailableError(f"{shown(url)} cannot be reached: {error}") from error
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, httpx.InvalidURL, ValueError) as error:
            raise PubsubServiceError(f"{shown(url)} does not answer in valid HTTP: {shown(str(error))}") from error

    def _body(self, url: str, response: httpx.Response, headers: Mapping[str, str], ends: float) -> bytes:
        decoder = _Decoder(headers.get("content-encoding", ""), url)
        parts: list[bytes] = []
        most = self.options.largest
        received = 0
        for chunk in response.iter_raw():
            received += len(chunk)
            for part in decoder.decode(chunk, most + 1):
                parts.append(part)
                most -= len(part)
                if most < 0 or received > self.options.largest:
                    raise PubsubServiceError(
                        f"{shown(url)} has more than {self.options.largest} bytes", "policy-violation"
                    )
            if time.monotonic() > ends:
                raise _timeout(url, self.options.timeout)
        decoder.end()
        return b"".join(parts)


class _Transport(httpx.BaseTransport):
    """The transport of httpx over a pool with its own network backend."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        answer = self._pool.handle_request(
            httpcore.Request(method=request.method, url=url, headers=request.headers.raw, content=request.stream)
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), request=request)


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _CheckedBackend(httpcore.NetworkBackend):
    """A network backend that connects to checked addresses alone, and ends all waiting at one moment."""

    def __init__(self, networks: tuple[IPv4Network | IPv6Network, ...], ends: float) -> None:
        self._networks = networks
        self._ends = ends
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = resolved_addresses(host, port, _remaining(self._ends))
        allowed = [one for one in addresses if is_allowed(one, self._networks)]
        if not allowed:
            raise PubsubServiceError(
                f"the host {shown(host)} has only addresses of private networks: "
                f"{', '.join(map(str, addresses))}; name its network in `allow` to reach it",
                "policy-violation",
            )
        for address in allowed:
            try:
                stream = self._backend.connect_tcp(str(address), port, _remaining(self._ends), None, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if address == allowed[-1]:
                    raise
            else:
                return _TimedStream(stream, self._ends)
        raise AssertionError("unreachable")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise PubsubServiceError("web feeds are not read from sockets of this machine", "policy-violation")


class _TimedStream(httpcore.NetworkStream):
    """A stream whose reads and writes end at one moment, however slowly bytes arrive."""

    def __init__(self, stream: httpcore.NetworkStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(self._ends))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _remaining(self._ends))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _remaining(self._ends))
        return _TimedStream(stream, self._ends)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def check_url(url: str) -> None:
    """Check the address of a web document.

    Raises:
        PubsubServiceError: It is no address of HTTP or HTTPS, or holds a user's name or password.
    """
    # Also in an address that cannot be split, the part before an @ may be a password. It appears in no message.
    if "@" in re.split(r"[/?#]", url.partition("//")[2], maxsplit=1)[0]:
        raise PubsubServiceError(
            "the address of a web feed holds a user's name or password; remove them", "jid-malformed"
        )
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise PubsubServiceError(
            f"{shown(url)} is no address of a web feed; pass one such as https://example.org/feed", "jid-malformed"
        )


def networks_of(allow: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of an option ``allow``, or raise :class:`~feedstore.errors.InvalidValueError`."""
    if isinstance(allow, str):
        raise InvalidValueError(f"allow must be a sequence of networks, not {shown(allow)}; pass [{shown(allow)}]")
    try:
        return tuple(ip_network(one, strict=False) for one in allow)
    except ValueError as error:
        raise InvalidValueError(f"allow must name networks such as 10.1.0.0/16: {error}") from None


def is_allowed(address: IpAddress, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Return whether an address is public, or belongs to one of the networks.

    An IPv6 address that stands for an IPv4 address (mapped, 6to4, Teredo, NAT64) counts as that one.
    """
    address = _inner_address(address)
    if any(address in network for network in networks):
        return True
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def resolved_addresses(host: str, port: int, seconds: float) -> list[IpAddress]:
    """Return the addresses of a host, in the order of the system, within a number of seconds."""
    found: list[Any] = []
    done = threading.Event()

    def resolve() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.append(error)
        except UnicodeError as error:
            found.append(OSError(f"it is no name of a host: {error}"))
        done.set()

    # The system's resolver has no timeout of its own.
    threading.Thread(target=resolve, name="feedstore-resolver", daemon=True).start()
    if not done.wait(seconds):
        raise httpcore.ConnectTimeout(f"the name {shown(host)} was not resolved in time")
    if isinstance(found[0], OSError):
        raise PubsubUnavailableError(f"the host {shown(host)} cannot be resolved: {found[0]}")
    texts = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
    return [ip_address(text) for text in texts]


def _inner_address(address: IpAddress) -> IpAddress:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address


class _Decoder:
    """The decoder of a body, whose parts have a bounded size."""

    def __init__(self, encoding: str, url: str) -> None:
        self._name = encoding.strip().lower()
        self._url = shown(url)
        if self._name not in ("", "identity", "gzip", "x-gzip"):
            raise PubsubServiceError(f"{self._url} answers in the encoding {shown(encoding)}, which was not requested")
        self._inflate = None if self._name in ("", "identity") else zlib.decompressobj(_GZIP_BITS)

    def decode(self, chunk: bytes, most: int) -> Iterator[bytes]:
        """Yield the parts of a chunk, which the caller stops to take after ``most`` bytes."""
        if self._inflate is None:
            yield chunk
            return
        while chunk:
            try:
                part = self._inflate.decompress(chunk, min(_CHUNK, most))
            except zlib.error as error:
                raise PubsubServiceError(f"{self._url} answers with damaged {self._name} data: {error}") from None
            yield part
            chunk = self._inflate.unconsumed_tail
            rest = self._inflate.unused_data
            if rest.startswith(_GZIP_MEMBER):
                # The body has another member (RFC 1952). Other bytes after the last member are ignored.
                self._inflate, chunk = zlib.decompressobj(_GZIP_BITS), rest

    def end(self) -> None:
        """Refuse a body that was cut. Only its compression shows this, if the server states no length."""
        if self._inflate is not None and not self._inflate.eof:
            raise PubsubServiceError(f"{self._url} answers with incomplete {self._name} data")


def _remaining(ends: float) -> float:
    remaining = ends - time.monotonic()
    if remaining <= 0:
        raise httpcore.ReadTimeout("the time of the request is over")
    return remaining


def _redirected(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise PubsubServiceError(f"{shown(url)} redirects to no address: {error}", "jid-malformed") from None


def _timeout(url: str, seconds: float) -> PubsubTimeoutError:
    return PubsubTimeoutError(f"{shown(url)} did not answer completely within {seconds:g} seconds")
