"""The packages that are installed on the machine, and the supported machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import system_packages
from system_packages import SystemPackageError, install_packages, is_target_system, require_installable


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have run as root; installing fails until the package lists were updated."""
    commands: list[list[str]] = []

    def run_as_root(command: list[str]) -> subprocess.CompletedProcess[str]:
        commands.append([word for word in command[1:] if not word.startswith(("-", "D"))])
        updated = ["update"] in commands
        return subprocess.CompletedProcess(command, 0 if updated else 100, "" if updated else "E: cannot be located")

    monkeypatch.setattr(system_packages, "run_as_root", run_as_root)
    return commands


@pytest.mark.parametrize(
    ("name", "version", "is_target"),
    [
        ("debian", '"12"', True),
        ("debian", '"13"', True),
        ("debian", '"11"', False),
        ("ubuntu", '"22.04"', False),
        ("ubuntu", '"24.04"', True),
        ("ubuntu", '"23.10"', False),
        ("fedora", "42", False),
    ],
)
def test_target_systems(name: str, version: str, is_target: bool, tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text(f'PRETTY_NAME="Some system"\nID={name}\nVERSION_ID={version}\n\n')
    assert is_target_system(str(release)) is is_target


def test_a_system_without_a_name_is_no_target(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    assert is_target_system(str(release)) is False
    release.write_text("ID=debian\n")
    assert is_target_system(str(release)) is False


def test_another_system_gets_one_error_that_lists_all_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "is_target_system", lambda: False)
    with pytest.raises(SystemPackageError, match=r"^missing: one \(a\), two \(b\)\. .*Debian 12.* of one two, and"):
        require_installable({"one": "a", "two": "b"})


def test_without_sudo_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(system_packages, "is_target_system", lambda: True)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemPackageError, match=r"^missing: one \(a\), two \(b\)\..*`apt-get install one two` as"):
        require_installable({"one": "a", "two": "b"})


def test_the_package_lists_are_updated_only_where_installing_failed(
    apt: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    install_packages({"one": "a", "two": "b"})
    assert apt == [["install", "one", "two"], ["update"], ["install", "one", "two"]]
    assert capsys.readouterr().out == "installing with apt-get: one (a), two (b)\n"
    apt[:] = [["update"]]
    install_packages({"one": "a"})
    assert apt == [["update"], ["install", "one"]]


def test_a_failed_install_shows_what_apt_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0 if "update" in command else 100, "E: it cannot be")

    monkeypatch.setattr(system_packages, "run_as_root", refuse)
    with pytest.raises(SystemPackageError, match="cannot install one:\nE: it cannot be"):
        install_packages({"one": "a"})
