"""One error names all missing packages of the machine."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import browser_programs
import machine
import postgresql_programs
import redis_programs
from system_packages import SystemPackageError


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with neither PostgreSQL nor ensurepip; the folder where PostgreSQL's versions would be installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgresql_programs, "INSTALLED", tmp_path)
    monkeypatch.setattr(postgresql_programs, "_POOLER_FOLDER", str(tmp_path))
    monkeypatch.delenv(postgresql_programs.URL_VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return tmp_path


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that would change the machine, in order."""
    taken: list[str] = []

    def install_packages(packages: Mapping[str, str]) -> None:
        taken.append(" ".join(("install", *packages)))

    monkeypatch.setattr(machine, "require_installable", lambda packages: taken.append("check"))
    monkeypatch.setattr(machine, "install_packages", install_packages)
    monkeypatch.setattr(postgresql_programs, "prevent_main_cluster", lambda: taken.append("no main cluster"))
    monkeypatch.setattr(machine, "mask_service", lambda name: taken.append(f"no service {name}"))
    return taken


@pytest.mark.usefixtures("bare_machine")
def test_everything_is_installed_in_one_go_and_without_a_cluster(steps: list[str]) -> None:
    machine.equip(["postgresql"], virtual_environment=True)
    assert steps[:3] == ["check", "no main cluster", "no service pgbouncer"]
    assert steps[3].startswith(f"install python3.{sys.version_info.minor}-venv")
    assert steps[3].endswith(" postgresql pgbouncer")
    assert len(steps) == 4


@pytest.mark.usefixtures("bare_machine")
def test_only_what_is_asked_for_is_installed(steps: list[str]) -> None:
    machine.equip([])
    assert steps == []
    machine.equip(["postgresql"])
    assert steps == ["check", "no main cluster", "no service pgbouncer", "install postgresql pgbouncer"]


@pytest.mark.usefixtures("bare_machine")
def test_redis_comes_without_a_service(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (redis_programs.URL_VARIABLE, redis_programs.CLUSTER_URL_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    machine.equip(["redis"])
    assert steps == ["check", "install redis-tools openssl"]
    monkeypatch.setenv("FEEDSTORE_TEST_REDIS", "redis://host")
    machine.equip(["redis"])
    assert len(steps) == 4
    monkeypatch.setenv("FEEDSTORE_TEST_REDIS_CLUSTER", "redis+cluster://host")
    machine.equip(["redis"])
    assert len(steps) == 4


@pytest.mark.usefixtures("bare_machine")
def test_a_browser_is_installed_or_named(steps: list[str], monkeypatch: pytest.MonkeyPatch, bare_machine: Path) -> None:
    monkeypatch.delenv(browser_programs.VARIABLE, raising=False)
    machine.equip(["browser"])
    assert steps == ["check", "install chromium"]
    stub = _program(bare_machine / "chromium-browser", "echo install it from elsewhere")
    machine.equip(["browser"])
    assert len(steps) == 4
    browser = _program(bare_machine / "chromium", "echo Chromium 156.0")
    machine.equip(["browser"])
    assert (len(steps), browser_programs.find_browser()) == (4, browser)
    monkeypatch.setenv(browser_programs.VARIABLE, str(stub))
    with pytest.raises(SystemPackageError, match=r"chromium-browser --version does not print a version of Chromium"):
        machine.equip(["browser"])


@pytest.mark.usefixtures("bare_machine")
def test_an_xmpp_server_comes_without_a_service(steps: list[str], bare_machine: Path) -> None:
    machine.equip(["xmpp"])
    assert steps == ["check", "no service prosody", "install prosody"]
    _program(bare_machine / "prosody", "exit 0")
    machine.equip(["xmpp"])
    assert len(steps) == 3


def _program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.usefixtures("bare_machine")
def test_a_named_server_replaces_the_install(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDSTORE_TEST_POSTGRESQL", "postgresql://host")
    machine.equip(["postgresql"])
    assert steps == ["check", "no service pgbouncer", "install pgbouncer"]


def test_the_newest_installed_version_is_taken(bare_machine: Path, steps: list[str]) -> None:
    for version in ("9.6", "15", "17"):
        folder = bare_machine / version / "bin"
        folder.mkdir(parents=True)
        (folder / "postgres").touch()
        (folder / "initdb").touch()
    (bare_machine / "17" / "bin" / "initdb").unlink()
    assert postgresql_programs.find_programs() == bare_machine / "15" / "bin"
    machine.equip(["postgresql"])
    assert steps == ["check", "no service pgbouncer", "install pgbouncer"]
