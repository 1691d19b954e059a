"""Runs the blocks of a page as a reader would: from the top, in one Python, in one folder."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg

from docs.pages import Block, name_of

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# After a block's language: the block shows the output of the Python before it. Any other word is a file's name.
OUTPUT = "output"
# The reader's PostgreSQL database in the pages.
DOCUMENTED_DATABASE = "postgresql://app:secret@db.example/feeds"
_TIME_LIMIT = 120


class Reader:
    """A reader of one page: the names that Python knows by now, and the shell's variables.

    ``feedstore`` is the file that the shell runs as the command of that name.
    """

    def __init__(self, page: Path, folder: Path, replacements: dict[str, str], feedstore: Path) -> None:
        self.page = name_of(page)
        self.folder = folder
        self.replacements = replacements
        self.names: dict[str, Any] = {"__name__": "__main__"}
        path = f"{_command_folder(folder, feedstore)}:{os.environ['PATH']}"
        self.variables = {**os.environ, "COLUMNS": "120", "PATH": path}
        self.status = 0
        self.printed = ""

    def follow(self, block: Block) -> None:
        """Run a block, and compare the output with the one that the page shows. A block with a name is a file."""
        text = block.text
        for shown, real in self.replacements.items():
            text = text.replace(shown, real)
        if block.language.startswith("{"):
            return
        if block.argument and block.argument != OUTPUT:
            (self.folder / block.argument).write_text(text, encoding="utf-8")
        elif block.language == "python":
            with redirect_stdout(StringIO()) as printed:
                exec(compile("\n" * (block.line - 1) + text, self.page, "exec"), self.names)
            self.printed = printed.getvalue()
        elif block.language == "sql":
            with psycopg.connect(self.replacements[DOCUMENTED_DATABASE], autocommit=True) as connection:
                connection.execute(text.encode())
        elif block.argument == OUTPUT:
            assert doctest.OutputChecker().check_output(text, self.printed, OPTIONS), self.printed
        elif block.language == "pycon":
            self._talk_to_python(text, block.line)
        elif block.language == "console":
            for command, output in shell_commands(text):
                self._type(command, output, block.line)

    def _talk_to_python(self, text: str, line: int) -> None:
        example = doctest.DocTestParser().get_doctest(text, self.names, self.page, self.page, line - 1)
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=OPTIONS)
        runner.run(example, out=report.append, clear_globs=False)
        self.names = example.globs
        assert example.examples, f"{self.page}:{line}: a pycon block without a prompt"
        assert not runner.failures, "".join(report)

    def _type(self, command: str, expected: str, line: int) -> None:
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.variables[name] = value
            return
        # The next command can read the status of the last one in $?.
        done = subprocess.run(
            ["bash", "-c", f"(exit {self.status}); {command}"],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
        self.status = done.returncode
        where = f"{self.page}:{line}: $ {command}\n"
        assert "Traceback" not in done.stdout, where + done.stdout
        if expected:
            same = doctest.OutputChecker().check_output(expected, done.stdout, OPTIONS)
            assert same, f"{where}expected:\n{expected}\ngot (exit status {done.returncode}):\n{done.stdout}"
        else:
            assert done.returncode == 0, f"{where}{done.stdout}"


def shell_commands(text: str) -> list[tuple[str, str]]:
    """(command, output) of a console block. A command begins after ``$``, and goes on after a backslash."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), ""))
            continue
        assert found, f"a console block begins with a command, not {line!r}"
        command, output = found[-1]
        if command.endswith("\\") and not output:
            found[-1] = (command[:-1] + line.strip(), "")
        else:
            found[-1] = (command, output + line)
    return found


def _command_folder(folder: Path, feedstore: Path) -> Path:
    """A folder with the commands ``python``, of the Python that runs the tests, and ``feedstore``."""
    commands = folder.parent / f"{folder.name}-commands"
    commands.mkdir()
    python = commands / "python"
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n", encoding="utf-8")
    python.chmod(0o755)
    (commands / "feedstore").symlink_to(feedstore)
    return commands
