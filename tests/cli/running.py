"""Runs of the command line, in this process and in one of their own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from feedstore.cli.main import main


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


class CommandLine:
    """Runs commands in this process, on the store at a URL unless they name one."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Result:
        """Run ``feedstore`` with arguments."""
        self._capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        out, err = self._capsys.readouterr()
        return Result(status, out, err)


def start(*arguments: str, environment: Mapping[str, str] | None = None, setup: str = "") -> subprocess.Popen[str]:
    """Start ``python -m feedstore`` with arguments; the statements of ``setup`` run before."""
    program = f"{setup}\nimport runpy\nrunpy.run_module('feedstore', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_process(
    *arguments: str, environment: Mapping[str, str] | None = None, setup: str = "", given: str = ""
) -> Result:
    """Run ``python -m feedstore`` to its end."""
    process = start(*arguments, environment=environment, setup=setup)
    out, err = process.communicate(given, timeout=60)
    return Result(process.returncode, out, err)


def run_in_terminal(*arguments: str, given: str = "", columns: int = 80, setup: str = "") -> tuple[int, str]:
    """Run ``python -m feedstore`` on a terminal where ``given`` is typed; return the status and the screen."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    program = f"{setup}\nimport runpy\nrunpy.run_module('feedstore', run_name='__main__', alter_sys=True)"
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment["TERM"] = "xterm"
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=environment, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(terminal)
        os.write(controller, given.encode())
        screen = b"".join(iter(lambda: _read_terminal(controller), b""))
    os.close(controller)
    return process.returncode, screen.decode().replace("\r\n", "\n")


def _read_terminal(controller: int) -> bytes:
    try:
        return os.read(controller, 65_536)
    except OSError:
        # The error of a terminal after its last process has ended.
        return b""
