"""Checkpoints that survive: written aside, synced, renamed; verified against the digest in their name."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pluglab.errors import UserError
from pluglab.storage.atomic import write_file as write_file

_NAME = re.compile(r"step_(\d+)\.([0-9a-f]{16})\.pt")
KEEP = 2


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint on disk. `digest` is the beginning of the SHA-256 of its content."""

    path: Path
    step: int
    digest: str

    def read(self) -> dict[str, Any]:
        """The saved state, on the CPU. Raises `ValueError` if a single byte has changed."""
        content = self.path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:16] != self.digest:
            raise ValueError(f"{self.path.name} is damaged ({len(content)} bytes, wrong digest)")
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return state


def check_identity(state: Mapping[str, Any], identity: str, folder: Path) -> None:
    """Raises `UserError` for a state that was saved by another experiment."""
    if state["identity"] != identity:
        help = ["start a new run, or restore the recipe.toml of the run folder"]
        raise UserError(f"the checkpoint in {folder} is of another recipe", help=help)


class Checkpoints:
    """The checkpoints of one run: the newest two and the selected one are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, state: dict[str, Any], step: int, keep: int | None = None) -> Path:
        """Write the state of `step`, then drop older files, except that of the step `keep`."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"step_{step:08d}.{hashlib.sha256(content).hexdigest()[:16]}.pt"
        write_file(path, content)
        self._drop_old(keep)
        return path

    def _drop_old(self, keep: int | None) -> None:
        steps = sorted({file.step for file in self.files()}, reverse=True)
        kept = {*steps[:KEEP], keep}
        for file in self.files():
            if file.step not in kept:
                file.path.unlink(missing_ok=True)

    def files(self) -> list[CheckpointFile]:
        """The newest first."""
        names = ((path, _NAME.fullmatch(path.name)) for path in self.folder.glob("step_*.pt"))
        files = [CheckpointFile(path, int(found[1]), found[2]) for path, found in names if found]
        return sorted(files, key=lambda file: (file.step, file.path.stat().st_mtime), reverse=True)

    def latest(self) -> tuple[CheckpointFile, dict[str, Any]] | None:
        """The newest checkpoint that is whole; a damaged one is passed over with a warning."""
        return next(self._whole(self.files()), None)

    def at(self, step: int) -> tuple[CheckpointFile, dict[str, Any]] | None:
        """The checkpoint of that step, if it is there and whole."""
        return next(self._whole([file for file in self.files() if file.step == step]), None)

    def state(self, step: int | None) -> dict[str, Any]:
        """What was saved at `step`, or last. Raises `UserError` where no whole file of it is left."""
        with warnings.catch_warnings(record=True) as damaged:
            found = self.latest() if step is None else self.at(step)
        if found is None:
            steps = ", ".join(str(file.step) for file in self.files()) or "none"
            which = "" if step is None else f" of step {step}"
            message = f"{self.folder.parent} has no whole checkpoint{which}; there are: {steps}"
            raise UserError(message, help=[str(item.message) for item in damaged])
        return found[1]

    def _whole(self, files: list[CheckpointFile]) -> Iterator[tuple[CheckpointFile, dict[str, Any]]]:
        for file in files:
            try:
                yield file, file.read()
            except Exception as error:  # torch.load raises many kinds for a file that is not one
                warnings.warn(f"checkpoint passed over: {error}", stacklevel=4)
