"""Runs of the toys of `run_plugin.py` in this process, and what they leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pluglab.cli import main

PLUGIN = Path(__file__).parent / "run_plugin.py"
RECIPE = """
steps = 12
batch_size = 8
log_every = 3
checkpoint_every = 4
trainer = "learner"
data.train = "drawn"
evaluate = ["hits", { name = "certain", every = 4 }]

[run]
threads = 1
precision = "32"
"""
ADAPTATION = """
steps = 8
batch_size = 8
trainer = "adapter"
data.source = "drawn"
data.target = { name = "drawn", pixel = 5, held_out = 3 }

[run]
threads = 1
precision = "32"
"""
SELECTED = """
steps = 12
batch_size = 8
log_every = 3
checkpoint_every = 4
trainer = "learner"
data.train = "drawn"
evaluate = [{ name = "hits", every = 4 }, { name = "certain", every = 2 }]
select = { metric = "certain", mode = "min" }

[run]
threads = 1
precision = "32"
"""


def lab(*words: object, plugin: bool = True) -> int:
    """`lab WORDS...` with the toys; returns its exit code."""
    files = ["--plugin", str(PLUGIN)] if plugin else []
    with pytest.raises(SystemExit) as leave:
        main([*map(str, words), *files])
    return int(leave.value.code or 0)


def write(text: str = RECIPE, name: str = "r.toml") -> Path:
    Path(name).write_text(text)
    return Path(name)


def folders(root: str = "runs") -> set[Path]:
    return {path for path in Path(root).glob("*/*") if path.is_dir()}


def made(*words: object, code: int = 0, plugin: bool = True) -> Path:
    """The folder that `lab WORDS...` makes."""
    before = folders()
    assert lab(*words, plugin=plugin) == code
    (folder,) = folders() - before
    return folder


def trained(*sets: str, recipe: str = RECIPE, code: int = 0) -> Path:
    """The folder of a run of the recipe with these changes."""
    return made("run", write(recipe), *(word for one in sets for word in ("--set", one)), code=code)


def facts(run: Path) -> dict[str, Any]:
    """run.json."""
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


def events(run: Path, kind: str = "") -> list[dict[str, Any]]:
    """The events of metrics.jsonl, or those of one kind."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [event for event in found if kind in ("", event["type"])]


def saved_steps(run: Path) -> list[int]:
    """The steps that there is a checkpoint of."""
    return sorted({int(path.name[5:13]) for path in (run / "checkpoints").glob("step_*.pt")})


def state(run: Path, step: int | None = None) -> dict[str, Any]:
    """The newest checkpoint, of any step or of one."""
    files = (run / "checkpoints").glob("step_*.pt" if step is None else f"step_{step:08d}.*.pt")
    path = max(files, key=lambda path: (path.name[:13], path.stat().st_mtime_ns))
    found: dict[str, Any] = torch.load(path, weights_only=True)
    return found


def store(path: str | Path, seed: int = 0, pixel: int = 0) -> None:
    """The file of the data set `stored`; `pixel` is added to one of a training image."""
    draw, arrays = np.random.default_rng(seed), dict[str, Any]()
    for split in ("train", "test"):
        labels = np.arange(32) % 2
        noise = draw.integers(0, 120, (32, 1, 4, 4))
        arrays[split] = (noise + 70 * labels[:, None, None, None]).astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    arrays["train"][0, 0, 0, 0] += pixel
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
