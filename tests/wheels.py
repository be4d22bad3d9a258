"""Every distribution of the workspace as a wheel, and environments with the wheels but no checkout."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
BUILT = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", "dist", ".venv", "uv.lock")
# All in one process, since setuptools takes longer to import than to build.
BUILD = """
import os, sys
from setuptools import build_meta

what, out, *folders = sys.argv[1:]
sys.argv[1:] = []
for folder in folders:
    os.chdir(folder)
    getattr(build_meta, what)(out)
"""


def copy_of_the_checkout(folder: Path) -> Path:
    """What distributions are built from: setuptools writes beside its sources. Links stay links."""
    for name in ("core", "plugins", "recipes"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=BUILT)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def projects(checkout: Path) -> list[Path]:
    """The folders of all distributions."""
    return [checkout / "core", *sorted(file.parent for file in checkout.glob("plugins/*/pyproject.toml"))]


def build(folders: Iterable[Path], out: Path, what: str = "build_wheel") -> None:
    """Wheels, or by "build_sdist" archives of the sources, of distributions."""
    out.mkdir(exist_ok=True)
    words: list[str | Path] = [sys.executable, "-c", BUILD, what, out, *folders]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def environment(folder: Path, wheels: Iterable[Path]) -> Path:
    """A new environment with these wheels, and third parties' packages as they are here; its bin."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile"]
    words: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "install", *options, *wheels]
    subprocess.run(words, check=True)
    variables = {"base": str(folder), "platbase": str(folder)}
    site = sysconfig.get_path("purelib", "venv", vars=variables)
    (Path(site) / "third_parties.pth").write_text(_here())
    return python.parent


def _here() -> str:
    """The line of a .pth file that leads to what is installed here. Its own .pth files count for nothing
    there, so that the checkout, which is installed by them, is not found."""
    return sysconfig.get_path("purelib") + "\n"


def outside(bin: Path, home: Path) -> dict[str, str]:
    """The variables of a process that uses an environment, and nothing of the checkout."""
    kept = {k: v for k, v in os.environ.items() if not re.match("LAB_|PYTHONPATH|UV_|VIRTUAL_ENV|PIP_", k)}
    return {**kept, "PATH": f"{bin}:{kept['PATH']}", "HOME": str(home), "LAB_CACHE": str(home / "cache")}


# Stand-ins for an index ---------------------------------------------------------------------------------


def stand_ins(checkout: Path, out: Path) -> None:
    """A wheel without code for each package of others that the workspace names, so that uv needs no network.

    It leads to what is installed, in that version; else its version is the lowest that is asked for.
    """
    out.mkdir()
    own = {canonicalize_name(one["project"]["name"]) for one in _tables(checkout)}
    for name, one in {canonicalize_name(one.name): one for one in _requirements(checkout)}.items():
        if name not in own:
            lowest = (bound.version for bound in one.specifier if bound.operator in (">=", "~=", "=="))
            _stand_in(name, next(lowest, "1"), out)


def _tables(checkout: Path) -> Iterator[dict[str, Any]]:
    for folder in projects(checkout):
        yield tomllib.loads((folder / "pyproject.toml").read_text())


def _requirements(checkout: Path) -> Iterator[Requirement]:
    for table in _tables(checkout):
        project = table["project"]
        extras = project.get("optional-dependencies", {}).values()
        for lines in (project["dependencies"], table["build-system"]["requires"], *extras):
            yield from map(Requirement, lines)


def _stand_in(name: str, version: str, out: Path) -> None:
    entry_points = ""
    with contextlib.suppress(PackageNotFoundError):
        found = distribution(name)
        version, entry_points = found.version.partition("+")[0], found.read_text("entry_points.txt") or ""
    file = name.replace("-", "_")
    info = f"{file}-{version}.dist-info"
    with zipfile.ZipFile(out / f"{file}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"stand_in_{file}.pth", _here())
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", entry_points)
        wheel.writestr(f"{info}/RECORD", "")
