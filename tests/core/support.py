"""What the core's tests share: the recipe of toys, runs in a process of their own, comparisons."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

TOYS = Path(__file__).parent / "toy_plugin.py"

RECIPE = """
steps = 40
batch_size = 16
log_every = 5
checkpoint_every = 10
transforms = ["jitter"]

[trainer]
name = "toy"

[data.train]
name = "toy_images"

[[evaluate]]
name = "toy_accuracy"
[[evaluate]]
name = "toy_confidence"
every = 7

[run]
threads = 1
precision = "32"
"""

Lab = Callable[..., int]
Install = Callable[..., None]


def lab_process(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`lab WORDS...` in a process of its own, with the toys."""
    command = [sys.executable, "-c", "from pluglab.cli import main; main()", *map(str, words)]
    return subprocess.run(
        [*command, "--plugin", str(TOYS)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def only_run(root: Path = Path("runs")) -> Path:
    """The folder of the only run or experiment below `root`."""
    (folder,) = [path for path in root.glob("*/*") if path.is_dir()]
    return folder


def last_state(folder: Path) -> dict[str, object]:
    """The newest checkpoint of a run, as saved."""
    path = max((folder / "checkpoints").glob("step_*.pt"), key=lambda p: p.name)
    state: dict[str, object] = torch.load(path, weights_only=True)
    return state


def same(one: object, other: object) -> bool:
    """Equal to the last bit, through any nesting."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(one[k], other[k]) for k in one)
        )
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and all(map(same, one, other)) and len(one) == len(other)
    return one == other
