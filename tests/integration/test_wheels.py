"""What a user of an index gets: the wheels are whole, and work where there is no checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

from tests.wheels import build, outside, projects, stand_ins

NAMES = [folder.name for folder in projects(Path(__file__).parents[2])]
NOT_SOURCE = re.compile(r"\.egg-info|__pycache__|/tests?/")


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest, checkout: Path) -> Path:
    """A distribution's in the copy of the checkout."""
    return checkout / request.param if request.param == "core" else checkout / "plugins" / request.param


@pytest.fixture
def wheel(folder: Path, built: Path) -> zipfile.ZipFile:
    name = "pluglab" if folder.name == "core" else f"pluglab_{folder.name}"
    (file,) = built.glob(f"{name}-*.whl")
    return zipfile.ZipFile(file)


def about(wheel: zipfile.ZipFile) -> Message:
    (file,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(file).decode())


def sources(folder: Path) -> dict[str, bytes]:
    """What lies under src, behind links too."""
    found = {}
    for path in map(Path, _files(folder / "src")):
        name = path.relative_to(folder / "src").as_posix()
        if not NOT_SOURCE.search(f"/{name}"):
            found[name] = path.read_bytes()
    return found


def _files(top: Path) -> list[str]:
    return [f"{at}/{file}" for at, _, files in os.walk(top, followlinks=True) for file in files]


def tables_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.toml")}


def test_a_wheel_has_every_file_of_its_source_and_no_other(folder: Path, wheel: zipfile.ZipFile) -> None:
    inside = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    assert inside == sources(folder)
    assert any(name.endswith("/py.typed") for name in inside)


def test_a_wheel_says_what_it_is(folder: Path, wheel: zipfile.ZipFile) -> None:
    found, text = about(wheel), str(about(wheel).get_payload())
    assert text.strip() == (folder / "README.md").read_text().strip() != ""
    assert not re.findall(r"\]\((?!https://)", text)  # an index has none of our files
    assert (found["License-Expression"], found["License-File"]) == ("MIT", "LICENSE")
    assert found["Requires-Python"] == ">=3.11"
    systems = [one for one in found.get_all("Classifier", []) if one.startswith("Operating System")]
    assert systems == ["Operating System :: MacOS", "Operating System :: POSIX :: Linux"]
    (license,) = (name for name in wheel.namelist() if name.endswith("/licenses/LICENSE"))
    assert wheel.read(license) == (folder / "LICENSE").read_bytes()


def test_an_index_would_take_them(built: Path) -> None:
    words: list[str | Path] = [sys.executable, "-m", "twine", "check", "--strict", *built.iterdir()]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == len(NAMES)


def test_recipes_travel_with_the_sources_too(checkout: Path, tmp_path: Path) -> None:
    """Wheels are made from the archive of the sources: no link in it may lead out of it."""
    build([checkout / "plugins" / "all"], tmp_path / "out", "build_sdist")
    (file,) = (tmp_path / "out").iterdir()
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.glob("pluglab_all-*")
    names = {
        path.relative_to(checkout / "recipes").as_posix() for path in (checkout / "recipes").rglob("*.toml")
    }
    there = folder / "src" / "pluglab_all" / "recipes"
    assert {path.relative_to(there).as_posix() for path in there.rglob("*.toml")} == names
    assert not [path for path in folder.rglob("*") if path.is_symlink()]


# Without the checkout ------------------------------------------------------------------------------------


def call(*words: str | Path, at: Path, **variables: str) -> str:
    """What a command prints."""
    done = subprocess.run([*map(str, words)], cwd=at, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_works_from_wheels(installed_wheels: Path, tmp_path: Path) -> None:
    variables = outside(installed_wheels, tmp_path)
    code = "import pluglab, pluglab_all; print(pluglab.__file__, pluglab_all.__file__)"
    for file in call("python", "-c", code, at=tmp_path, **variables).split():
        assert Path(file).is_relative_to(installed_wheels.parent)
    plugins = json.loads(call("lab", "list", "plugins", "--json", at=tmp_path, **variables))
    assert {one["status"] for one in plugins} == {"ok"}
    assert {one["distribution"] for one in plugins} >= {"pluglab", "pluglab-gan", "pluglab-report"}
    recipes = json.loads(call("lab", "list", "recipes", "--json", at=tmp_path, **variables))
    assert {one["recipe"] for one in recipes} >= {"dann_digits", "dcgan_digits", "reports/a"}
    sets = ["--set", "steps=2", "--set", 'evaluate=["accuracy"]', "--set", 'run.device="cpu"']
    call("lab", "run", "dann_digits", *sets, "--variant", "DANN", at=tmp_path, **variables)
    call("lab", "report", "runs", "--out", "page", at=tmp_path, **variables)
    (page,) = (tmp_path / "page").glob("*.html")
    assert "DANN" in page.read_text()


@pytest.fixture
def uv(checkout: Path, built: Path, tmp_path: Path) -> dict[str, str]:
    """The variables with which uv finds our wheels, stand-ins for those of others, and no network."""
    found = shutil.which("uv")
    if found is None:
        pytest.skip("uv is not installed")
    stand_ins(checkout, tmp_path / "stand_ins")
    return {
        **outside(Path(found).parent, tmp_path),
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": f"{tmp_path / 'stand_ins'},{built}",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_PYTHON": sys.base_prefix,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
    }


@pytest.mark.slow
def test_uv_locks_and_runs_the_workspace(checkout: Path, uv: dict[str, str]) -> None:
    call("uv", "lock", at=checkout, **uv)
    lock = (checkout / "uv.lock").read_text()
    assert {f"plugins/{name}" for name in NAMES if name != "core"} <= set(re.findall('"(plugins/.+?)"', lock))
    call("uv", "run", "lab", "run", "recipes/dann_digits.toml", "--dry-run", at=checkout, **uv)
    code = "import pluglab_gan; print(pluglab_gan.__file__)"
    file = call("uv", "run", "python", "-c", code, at=checkout, **uv).strip()
    assert Path(file).is_relative_to(checkout / "plugins" / "gan")


def test_uv_installs_it_as_a_tool(uv: dict[str, str], tmp_path: Path) -> None:
    call("uv", "tool", "install", "pluglab", "--with", "pluglab-all", at=tmp_path, **uv)
    plugins = json.loads(call(tmp_path / "bin" / "lab", "list", "plugins", "--json", at=tmp_path, **uv))
    assert {one["status"] for one in plugins} == {"ok"}
    assert len(plugins) >= len(NAMES) - 2  # two of them register nothing
