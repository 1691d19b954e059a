"""A server that speaks TLS, with certificates of the suite's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from everything import use_everything
from feedstore import connect
from feedstore.errors import InvalidValueError, StorageError, StorageUnavailableError
from polling import poll_until
from servers.ports import LOOPBACK, free_port
from servers.redis import OwnRedisServer

_PASSWORD = "very-secret"


class TlsServer(NamedTuple):
    """A server's encrypted port, and the folder of the certificates."""

    port: int
    folder: Path

    def url(self, ca: str, host: str = LOOPBACK, **options: str) -> str:
        """The URL of the server for a client that trusts ``ca``."""
        query = urlencode({"ssl_ca_certs": str(self.folder / ca), **options})
        return f"rediss://:{_PASSWORD}@{host}:{self.port}?{query}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a server's and a client's certificate of it, and a foreign authority."""
    folder = tmp_path_factory.mktemp("tls")
    for authority in ("ca", "other"):
        use = ("-addext", "keyUsage=critical,keyCertSign")
        _openssl(folder, "req", "-x509", *_new_key(authority), "-out", f"{authority}.crt", "-days", "2", *use)
    for name in ("server", "client"):
        _openssl(folder, "req", *_new_key(name), "-out", f"{name}.csr")
        (folder / "names").write_text(f"subjectAltName=IP:{LOOPBACK}\nauthorityKeyIdentifier=keyid\n")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)
    return folder


@pytest.fixture(scope="module", params=["no", "yes"])
def server(folder: Path, request: pytest.FixtureRequest) -> Iterator[TlsServer]:
    """A server with a password and an encrypted port, which asks clients for a certificate or does not."""
    port = free_port()
    files = [f"{folder / 'server'}.{ending}" for ending in ("crt", "key")]
    tls = ("--tls-port", str(port), "--tls-cert-file", files[0], "--tls-key-file", files[1])
    asked = ("--tls-ca-cert-file", str(folder / "ca.crt"), "--tls-auth-clients", request.param)
    server = OwnRedisServer(*tls, *asked)
    client: Any = server.client()
    client.config_set("requirepass", _PASSWORD)
    client.close()
    yield TlsServer(port, folder)
    server.stop()


def test_a_client_with_a_certificate_reads_and_writes(server: TlsServer) -> None:
    own = {"ssl_certfile": str(server.folder / "client.crt"), "ssl_keyfile": str(server.folder / "client.key")}
    with connect(server.url("ca.crt", **own)) as backend:
        backend.timeline_storage().add("key", 1)
        assert backend.timeline_storage().count("key") == 1
        assert _PASSWORD not in repr(backend)


@pytest.mark.parametrize("server", ["yes"], indirect=True)
def test_a_client_without_the_certificate_that_the_server_wants_is_refused(server: TlsServer) -> None:
    with connect(server.url("ca.crt")) as backend, pytest.raises(StorageError) as caught:
        backend.ping()
    assert _PASSWORD not in f"{caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize("server", ["no"], indirect=True)
def test_a_certificate_of_another_authority_is_refused_at_once(server: TlsServer) -> None:
    # Tried again for an hour it would be if it counted as passing trouble.
    with connect(server.url("other.crt", retry_seconds="3600")) as backend, pytest.raises(StorageError) as caught:
        backend.ping()
    assert not isinstance(caught.value, StorageUnavailableError)
    assert "certificate verify failed" in str(caught.value)
    assert _PASSWORD not in f"{caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize("server", ["no"], indirect=True)
def test_the_name_and_the_check_can_be_left_out(server: TlsServer) -> None:
    with connect(server.url("ca.crt", host="localhost")) as backend, pytest.raises(StorageError, match="localhost"):
        backend.ping()
    with connect(server.url("ca.crt", host="localhost", ssl_check_hostname="false")) as backend:
        backend.ping()
    with connect(server.url("other.crt", ssl_cert_reqs="none", ssl_check_hostname="false")) as backend:
        backend.ping()


def test_a_cluster_over_tls(folder: Path) -> None:
    ports = (free_port(), free_port())
    tls = ("--tls-port", str(ports[0]), "--tls-ca-cert-file", str(folder / "ca.crt"), "--tls-auth-clients", "no")
    own = ("--tls-cert-file", str(folder / "server.crt"), "--tls-key-file", str(folder / "server.key"))
    bus = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", str(ports[1]))
    server = OwnRedisServer(*tls, *own, *bus, "--cluster-announce-ip", LOOPBACK)
    try:
        client: Any = server.client()
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        poll_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", 20, "the Cluster")
        client.close()
        url = f"rediss+cluster://{LOOPBACK}:{ports[0]}?ssl_ca_certs={folder}"
        with connect(f"{url}/ca.crt") as backend:
            use_everything(backend)
        with connect(f"{url}/other.crt", retry_seconds=3600) as backend, pytest.raises(StorageError, match="verify"):
            backend.ping()
    finally:
        server.stop()


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such-file")
    with pytest.raises(InvalidValueError, match=r"ssl_ca_certs.*no-such-file"):
        connect("rediss://localhost", ssl_ca_certs=missing)


def _new_key(name: str) -> tuple[str, ...]:
    return ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN=feedstore {name}")


def _openssl(folder: Path, *words: str) -> None:
    made = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
