"""The ``feedstore`` command as forks of one process that has imported the modules of all commands.

The imports take longer than most commands of the pages do. The tests of the command line start it as users do.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = """
import gc, json, os, runpy, socket, sys
from feedstore.backends.sql import backend, schema
from feedstore.cli.main import new_parser

new_parser([])
# Otherwise each fork would copy all that is imported in the last collections of its interpreter.
gc.freeze()
listener = socket.socket(socket.AF_UNIX)
listener.bind("socket")
listener.listen()
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    given, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    process = os.fork()
    if process == 0:
        listener.close()
        connection.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        # The server's own streams may know files, in which they could seek.
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
        folder, environment, sys.argv[1:] = json.loads(given)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        runpy.run_module("feedstore", run_name="__main__", alter_sys=True)
    for descriptor in descriptors:
        os.close(descriptor)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    connection.sendall(bytes([status & 255]))
    connection.close()
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
    server = [sys.executable, "-c", SERVER]
    with subprocess.Popen(server, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield command
        finally:
            process.kill()
