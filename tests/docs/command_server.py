"""The ``feedstore`` command as forks of one process that has imported the modules of all commands.

The imports take longer than most commands of the pages do. The tests of the command line start it as users do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = """
import gc, json, os, runpy, select, signal, socket, sys
from feedstore.backends.sql import backend, schema
from feedstore.cli.main import new_parser

new_parser([])
# Otherwise each fork would copy all that is imported in the last collections of its interpreter.
gc.freeze()
# The processes that wait for commands leave no zombies.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.socket(socket.AF_UNIX)
listener.bind("socket")
listener.listen()
print("listening", flush=True)
while True:
    if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
        # The tests have ended.
        os._exit(0)
    connection, _ = listener.accept()
    # A process for each command waits for its end, so that a command may wait for another one's output.
    if os.fork() == 0:
        break
    connection.close()

signal.signal(signal.SIGCHLD, signal.SIG_DFL)
listener.close()
given, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
process = os.fork()
if process == 0:
    connection.close()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    # The server's own streams may know files, in which they could seek.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    folder, environment, sys.argv[1:] = json.loads(given)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    runpy.run_module("feedstore", run_name="__main__", alter_sys=True)
for descriptor in descriptors:
    os.close(descriptor)
status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
connection.sendall(bytes([status & 255]))
os._exit(0)
"""
CLIENT = """
import json, os, socket, sys

given = json.dumps([os.getcwd(), dict(os.environ), sys.argv[2:]])
# A socket's path has a hundred characters at most.
os.chdir(sys.argv[1])
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("socket")
    socket.send_fds(connection, [given.encode()], [0, 1, 2])
    sys.exit(connection.recv(1)[0])
"""


@contextmanager
def serving(folder: Path) -> Iterator[Path]:
    """Start the process, and yield an executable file that lets it run a command."""
    client, command = folder / "client.py", folder / "feedstore"
    client.write_text(CLIENT, encoding="utf-8")
    # The client needs the standard library alone.
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -I -S '{client}' '{folder}' \"$@\"\n", encoding="utf-8")
    command.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield command
        finally:
            # Its commands, too, of which one may hang.
            os.killpg(process.pid, signal.SIGKILL)
