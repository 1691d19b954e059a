"""An XMPP server of the test suite."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from prosody_programs import PACKAGE, USER, find_prosody
from servers.ports import LOOPBACK, free_port, start_on_a_free_port
from servers.process import OwnServer, ServerError, ServerProcess

HOST = "localhost"
SERVICE = f"pubsub.{HOST}"
"""The address of the server's pubsub service."""
COMPONENT = f"component.{HOST}"
"""The address of a component that a test may connect, with the password ``secret``."""
_CONFIGURATION = """
daemonize = false
data_path = "{folder}/data"
interfaces = {{ "{loopback}" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ }}
legacy_ssl_ports = {{ }}
s2s_ports = {{ }}
component_ports = {{ {component_port} }}
component_interfaces = {{ "{loopback}" }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "pep", "ping" }}
modules_disabled = {{ "s2s" }}
ssl = {{ certificate = "{folder}/server.crt"; key = "{folder}/server.key"; }}
authentication = "internal_plain"
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
storage = "internal"
log = {{ info = "*console" }}
VirtualHost "{host}"
Component "{service}" "pubsub"
  pubsub_max_items = 10000
  autocreate_on_publish = true
  admins = {{ "ann@{host}" }}
Component "{component}"
  component_secret = "secret"
"""


class OwnProsodyServer(OwnServer):
    """A server that the test suite starts on free loopback ports, with the accounts ``ann`` and ``bob``.

    The password of each account is its name. The account ``ann`` may create nodes.
    """

    def __init__(self) -> None:
        program = find_prosody()
        if program is None:
            raise ServerError(f"prosody is not on PATH; `make test` installs the package {PACKAGE}")
        self._program = program
        self._user = USER if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="feedstore-"))
        try:
            accounts = self.folder / "data" / HOST / "accounts"
            accounts.mkdir(parents=True)
            for name in ("ann", "bob"):
                (accounts / f"{name}.dat").write_text(f'return {{ ["password"] = "{name}"; }};\n')
            self.certificate = _certificate(self.folder)
            if self._user is not None:
                for path in (self.folder, *self.folder.rglob("*")):
                    shutil.chown(path, self._user, self._user)
            self.component_port = free_port()
            self.port, self._process = start_on_a_free_port(self._start)
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def start(self) -> None:
        """Start the server again after :meth:`kill`, on the same ports and data."""
        self._process = self._start(self.port)

    def _start(self, port: int) -> ServerProcess:
        file = self.folder / "prosody.cfg.lua"
        names = {"host": HOST, "service": SERVICE, "component": COMPONENT, "loopback": LOOPBACK}
        text = _CONFIGURATION.format(folder=self.folder, port=port, component_port=self.component_port, **names)
        file.write_text(text)
        process = ServerProcess([str(self._program), "-F", "--config", str(file)], self.folder, self._user)
        process.wait_until_ready(lambda: _accepts(port))
        return process


def _certificate(folder: Path) -> Path:
    """Make a certificate of the server's own in a folder, with its key, and return its path."""
    subject = ("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-days", "2")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "server.key")
    command = ["openssl", "req", "-x509", *key, "-out", "server.crt", *subject]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode:
        raise ServerError(f"openssl cannot make a certificate: {made.stderr}")
    return folder / "server.crt"


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), 5).close()
    except OSError:
        return False
    return True
