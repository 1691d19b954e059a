"""Write constraints.txt: the newest versions that resolve together on each named Python.

    python scripts/constraints.py python3.11 python3.12 python3.13
    python scripts/constraints.py --lowest FILE

The last Python's versions count for all newer Pythons too, the first one's for older Pythons. ``--lowest`` writes the
lowest version that setup.cfg allows of each requirement of the command line and the tests.
"""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from collections import defaultdict
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("setuptools", "wheel", "ruff", "mypy", "django", "fastapi")
HEADER = """\
# The packages of the demo, the tests and continuous integration: one exact version for each Python.
# Written by scripts/constraints.py. For users of the library, only the ranges in setup.cfg count.
"""


def main(arguments: list[str]) -> None:
    """Write the file that the command line asks for."""
    if arguments[:1] == ["--lowest"] and len(arguments) == 2:
        Path(arguments[1]).write_text("\n".join(lowest(requirements("cli", "test"))) + "\n", encoding="utf-8")
    elif arguments and not arguments[0].startswith("-"):
        pin_newest(arguments)
    else:
        sys.exit(__doc__)


def pin_newest(interpreters: list[str]) -> None:
    """Resolve on every interpreter and write the merged pins."""
    pins: dict[str, dict[str, str]] = defaultdict(dict)
    minors = []
    for interpreter in interpreters:
        minor, resolved = resolve(interpreter)
        minors.append(minor)
        for name, version in resolved.items():
            pins[name][minor] = version
        print(f"Python {minor}: {len(resolved)} packages")
    lines = [line for name in sorted(pins, key=str.lower) for line in pin_lines(name, pins[name], minors)]
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


def resolve(interpreter: str) -> tuple[str, dict[str, str]]:
    """Return the minor version of ``interpreter``, and {name: version} of all direct and indirect requirements."""
    options = ("--quiet", "--dry-run", "--ignore-installed", "--report", "-")
    command = [interpreter, "-m", "pip", "install", *options, *requirements(), *TOOLS]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    minor = report["environment"]["python_version"]
    return minor, {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}


def requirements(*extras: str) -> list[str]:
    """Return the requirements in setup.cfg, with those of ``extras``. Without ``extras``, all extras count."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    sections = config["options.extras_require"]
    groups = [config["options"]["install_requires"], *(sections[extra] for extra in extras or sections)]
    lines = [line.strip() for group in groups for line in group.splitlines()]
    return sorted({line for line in lines if line and not line.startswith(("#", "feedstore["))})


def lowest(lines: list[str]) -> list[str]:
    """Return the requirements with the lower end of each range as the exact version."""
    return [line.replace(">=", "==") for line in lines]


def pin_lines(name: str, versions: dict[str, str], minors: list[str]) -> list[str]:
    """Return the lines that pin ``name``, one for each run of neighbouring Pythons that share a version."""
    lines = []
    for version, run in groupby(minors, key=versions.get):
        first, *rest = run
        last = [first, *rest][-1]
        lower = [] if first == minors[0] else [f'python_version >= "{first}"']
        upper = [] if last == minors[-1] else [f'python_version < "{minors[minors.index(last) + 1]}"']
        marker = " and ".join(lower + upper)
        if version is not None:
            lines.append(f"{name}=={version} ; {marker}" if marker else f"{name}=={version}")
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
