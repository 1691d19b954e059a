"""Build the project's wheel from the present files into a folder.

    python scripts/project_wheel.py FOLDER

The build uses the setuptools of the Python that runs the script.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_METADATA = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def digest_of_sources() -> str:
    """Return a hash of the names and contents of the wheel's source files."""
    digest = hashlib.sha256()
    for path in _source_files():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def build_wheel(python: Path, target: Path) -> Path:
    """Build the wheel with ``python``'s own setuptools into the folder ``target`` and return its path.

    The build runs in a copy. In the checkout, setuptools would pack files that an earlier build left there.
    """
    with tempfile.TemporaryDirectory(prefix="feedstore-wheel-") as folder:
        stage = Path(folder, "source")
        for path in _source_files():
            copy = stage / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        built = Path(folder, "built")
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built))
        subprocess.run([python, "-m", "pip", "wheel", *options, str(stage)], check=True)
        (wheel,) = built.glob("*.whl")
        target.mkdir(exist_ok=True)
        for old in target.glob("feedstore-*.whl"):
            old.unlink()
        return Path(shutil.move(wheel, target / wheel.name))


def _source_files() -> Iterator[Path]:
    yield from (path for path in map(ROOT.joinpath, _METADATA) if path.exists())
    for path in sorted(ROOT.joinpath("feedstore").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(build_wheel(Path(sys.executable), Path(sys.argv[1])))
