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
from pluglab.storage.atomic import sweep, write_file

_NAME = re.compile(r"step_(\d+)\.([0-9a-f]{16})\.pt")
KEEP = 2
DIGITS = 16  # of a digest in a file name


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint on disk. `digest` is the beginning of the SHA-256 of its content."""

    path: Path
    step: int
    digest: str

    def read(self) -> dict[str, Any]:
        """The saved state, on the CPU. Raises `ValueError` if a single byte has changed."""
        with self.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS] != self.digest:
                raise ValueError(f"{self.path.name} is damaged ({file.tell()} bytes, wrong digest)")
            file.seek(0)
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return state


def has_nan(state: Any) -> bool:
    """Whether there is a NaN in a tensor of a saved state, however deep."""
    if isinstance(state, torch.Tensor):
        return state.is_floating_point() and bool(state.isnan().any())
    if isinstance(state, Mapping):
        return any(map(has_nan, state.values()))
    return isinstance(state, (list, tuple)) and any(map(has_nan, state))


class Checkpoints:
    """The checkpoints of one run: kept are the newest two, the selected one, every `keep_every`-th step."""

    def __init__(self, folder: Path, keep_every: int | None = None) -> None:
        self.folder, self.keep_every = folder, keep_every

    def save(self, state: dict[str, Any], step: int, keep: int | None = None) -> Path:
        """Write the state of `step`, then drop older files, except that of the step `keep`."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return self.write(buffer.getbuffer(), step, keep)

    def write(self, content: memoryview, step: int, keep: int | None = None) -> Path:
        """The same with a state that `torch.save` has made into bytes. One process may do so at a time."""
        sweep(self.folder, "step_*.pt")
        path = self.folder / f"step_{step:08d}.{hashlib.sha256(content).hexdigest()[:DIGITS]}.pt"
        write_file(path, content)
        self._drop_old(keep)
        return path

    def _drop_old(self, keep: int | None) -> None:
        newest = self.steps()[-KEEP:]
        for file in self.files():
            often = self.keep_every is not None and file.step % self.keep_every == 0
            if file.step not in newest and file.step != keep and not often:
                file.path.unlink(missing_ok=True)

    def files(self) -> list[CheckpointFile]:
        """The newest first."""
        names = ((path, _NAME.fullmatch(path.name)) for path in self.folder.glob("step_*.pt"))
        files = [CheckpointFile(path, int(found[1]), found[2]) for path, found in names if found]
        return sorted(files, key=lambda file: (file.step, file.path.stat().st_mtime), reverse=True)

    def steps(self) -> list[int]:
        """The steps that there is a checkpoint of, rising."""
        return sorted({file.step for file in self.files()})

    def latest(self) -> tuple[CheckpointFile, dict[str, Any]] | None:
        """The newest checkpoint that is whole; a damaged one is passed over with a warning."""
        return next(self.whole(), None)

    def whole(self) -> Iterator[tuple[CheckpointFile, dict[str, Any]]]:
        """All that are, the newest first."""
        return self._whole(self.files())

    def at(self, step: int) -> tuple[CheckpointFile, dict[str, Any]] | None:
        """The checkpoint of that step, if it is there and whole."""
        return next(self._whole([file for file in self.files() if file.step == step]), None)

    def find(self, step: int | None) -> tuple[CheckpointFile, dict[str, Any]]:
        """That of `step`, or the newest. Raises `UserError` where no whole file of it is left."""
        with warnings.catch_warnings(record=True) as damaged:
            warnings.simplefilter("always")
            found = self.latest() if step is None else self.at(step)
        if found is None:
            steps = ", ".join(map(str, self.steps())) or "none"
            which = "" if step is None else f" of step {step}"
            message = f"{self.folder.parent} has no whole checkpoint{which}; there are: {steps}"
            raise UserError(message, help=[str(item.message) for item in damaged])
        return found

    def _whole(self, files: list[CheckpointFile]) -> Iterator[tuple[CheckpointFile, dict[str, Any]]]:
        for file in files:
            try:
                yield file, file.read()
            except Exception as error:  # torch.load raises many kinds for a file that is not one
                warnings.warn(f"checkpoint passed over: {error}", stacklevel=4)
