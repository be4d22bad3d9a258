"""The folder of a run: what is in it, who holds it, and how it came to its state."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

import pluglab
from pluglab.errors import UserError
from pluglab.storage.atomic import write_file

if TYPE_CHECKING:
    from pluglab.recipe.recipe import Recipe

RECIPE, RUN, RESULTS, EXPERIMENT = "recipe.toml", "run.json", "results.json", "experiment.json"
CHECKPOINTS, TRACEBACK = "checkpoints", "traceback.txt"


def slug(text: str) -> str:
    """A file name made of `text`."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_") or "run"


def claim_folder(root: Path, title: str) -> Path:
    """A fresh `root/<title>/<time>-<id>`, ours alone even if another run starts in the same second."""
    parent = root / slug(title)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
            try:
                (parent / name).mkdir()
                return parent / name
            except FileExistsError:
                continue
    except OSError as error:
        raise UserError(f"cannot make a run folder in {parent}: {error.strerror}") from None


def write_json(path: Path, value: Any) -> None:
    """Write JSON all or not at all."""
    write_file(path, (json.dumps(value, indent=2, default=str) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that we wrote. Raises `UserError` if it is missing or not JSON."""
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: this is no run folder of pluglab") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object")
    return value


def write_recipe(path: Path, table: Mapping[str, Any], words: str) -> None:
    """Write a resolved recipe with a line on what it is."""
    write_file(path, f"# {words}\n{tomli_w.dumps(table)}".encode())


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    found = {"python": platform.python_version(), "pluglab": pluglab.__version__}
    for name in ("torch", "torchvision", "lightning-fabric", "numpy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class RunFolder:
    """One run on disk."""

    path: Path

    @classmethod
    def create(cls, path: Path, recipe: Recipe, origin: Mapping[str, Any]) -> RunFolder:
        """Lay out the folder of a run that has not started. `origin`: what a resume needs to know."""
        path.mkdir(exist_ok=True)
        words = f"resolved by pluglab {pluglab.__version__}; `lab run` on this file repeats the run"
        write_recipe(path / RECIPE, recipe.to_dict(), words)
        folder = cls(path)
        state = {"status": "pending", "recipe": recipe.title, "variant": recipe.variant, "seed": recipe.seed}
        folder.write({**state, "identity": recipe.identity(), **origin})
        return folder

    def read(self) -> dict[str, Any]:
        """`run.json`; a run whose process is gone without a word has the status 'died'."""
        state = read_json(self.path / RUN)
        if "status" not in state or "identity" not in state:
            raise UserError(f"{self.path / RUN} is damaged: it has no status or identity")
        if state["status"] == "running" and not self.is_held():
            state["status"] = "died"
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        write_json(self.path / RUN, state)

    def update(self, **changes: Any) -> None:
        self.write({**read_json(self.path / RUN), **changes})

    def results(self) -> dict[str, Any]:
        return read_json(self.path / RESULTS) if (self.path / RESULTS).is_file() else {}

    def reported_step(self) -> int | None:
        """The step whose figures are the results; None before there are any."""
        step: int | None = self.results().get("step")
        return step

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process; the kernel lets go of it however the process ends."""
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(f"another process is running {self.path}") from None
            yield

    def is_held(self) -> bool:
        try:
            with (self.path / ".lock").open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
        except FileNotFoundError:
            return False
        except OSError:
            return True


def start_facts() -> dict[str, Any]:
    """What is recorded when a run starts."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return {
        "status": "running",
        "pid": os.getpid(),
        "started": now,
        "command": sys.argv,
        "versions": versions(),
    }


def run_folders(folder: Path) -> list[RunFolder]:
    """The runs of an experiment's folder, or the one run that the folder is. Raises `UserError`."""
    if (folder / RUN).is_file():
        return [RunFolder(folder)]
    if (folder / EXPERIMENT).is_file():
        return [RunFolder(folder / name) for name in read_json(folder / EXPERIMENT)["runs"]]
    help = ["give a folder that `lab run` made; `lab list runs` lists them"]
    raise UserError(f"{folder} is no run folder", help=help)


def find_runs(root: Path) -> list[Path]:
    """Every run and experiment folder directly below `root/<title>/`, the newest last."""
    markers = [*root.glob(f"*/*/{RUN}"), *root.glob(f"*/*/{EXPERIMENT}")]
    return sorted({marker.parent for marker in markers}, key=lambda path: path.name)
