"""Fill .venv with feedstore's wheel, built from the present files, and with the requested extras and tools.

If nothing changed, the script does nothing. It needs only the standard library of Python 3.11 or newer.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from machine import SERVERS, equip, fetch
from project_wheel import ROOT, build_wheel, digest_of_sources
from system_packages import SystemPackageError

ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"
STATE = ENVIRONMENT / "feedstore-state.json"
BUILD_TOOLS = ("setuptools", "wheel")

# The state of .venv: the digest of the pins, the tools, feedstore's extras, and the digest of its sources.
State = dict[str, Any]


def main() -> None:
    """Read the command line and bring .venv up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extras", nargs="+", default=[], help="install feedstore with these extras")
    parser.add_argument("--tools", nargs="+", default=[], help="install these packages, as constraints.txt pins them")
    parser.add_argument("--servers", nargs="+", default=[], choices=SERVERS, help="servers that the machine must have")
    arguments = parser.parse_args()
    try:
        with _one_at_a_time():
            works = _environment_works()
            equip(arguments.servers, virtual_environment=not works)
            if not works:
                _create_environment()
            fetch(arguments.servers, PYTHON)
            update_environment(arguments.extras, arguments.tools)
    except SystemPackageError as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {' '.join(map(str, error.cmd))} failed with exit status {error.returncode}")


def update_environment(extras: list[str], tools: list[str]) -> None:
    """Install new and changed requirements into .venv. Install feedstore itself only with extras."""
    state = _read_state()
    pins = hashlib.sha256((ROOT / "setup.cfg").read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    if state.get("pins") != pins:
        state = {"pins": pins}
    _update_tools(state, tools)
    if extras:
        _update_feedstore(state, extras)


def _update_tools(state: State, tools: list[str]) -> None:
    missing = {*BUILD_TOOLS, *tools}.difference(state.get("tools", ()))
    if missing:
        _pip_install(sorted(missing))
        state["tools"] = sorted(missing.union(state.get("tools", ())))
        _write_state(state)


def _update_feedstore(state: State, extras: list[str]) -> None:
    known_extras, known_sources = state.get("extras", []), state.pop("sources", None)
    missing, sources = set(extras).difference(known_extras), digest_of_sources()
    if not missing and sources == known_sources:
        return
    wanted = sorted({*known_extras, *extras})
    print(f"installing feedstore[{','.join(wanted)}] into .venv", flush=True)
    # The state has no sources until pip is done, so an interrupted run is repeated.
    _write_state(state)
    wheel = build_wheel(PYTHON, ROOT / "dist")
    # Without --force-reinstall, pip keeps an installed wheel of the same version.
    _pip_install(["--no-deps", "--force-reinstall", str(wheel)])
    if missing:
        _pip_install([f"{wheel}[{','.join(wanted)}]"])
    _write_state({**state, "extras": wanted, "sources": sources})


def _pip_install(arguments: list[str]) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--constraint", str(CONSTRAINTS))
    subprocess.run([PYTHON, "-m", "pip", "install", *options, *arguments], check=True)


def _environment_works() -> bool:
    if not PYTHON.exists():
        return False
    program = "import sys, importlib.util as u; print(*sys.version_info[:2], bool(u.find_spec('pip')), sys.base_prefix)"
    finished = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=False)
    answer = finished.stdout.split(maxsplit=3)
    if len(answer) != 4 or answer[2] != "True" or (int(answer[0]), int(answer[1])) < (3, 11):
        return False
    # If PYTHON names an interpreter, an environment of another one does not count.
    return "PYTHON" not in os.environ or answer[3].strip() == sys.base_prefix


def _create_environment() -> None:
    print(f"making .venv with Python {'.'.join(map(str, sys.version_info[:3]))}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)


def _read_state() -> State:
    return json.loads(STATE.read_text(encoding="utf-8")) if STATE.exists() else {}


def _write_state(state: State) -> None:
    STATE.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold a lock on the checkout's folder, so that two runs of make do not fill .venv concurrently."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


if __name__ == "__main__":
    main()
