"""All trainers in several processes on this machine, each with its share of one batch."""

from __future__ import annotations

import os
import socket
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import multiprocessing

from pluglab import Batch, Progress
from pluglab.data.whole_batch import whole_batch
from pluglab.engine.hardware import Hardware, LabFabric
from pluglab.engine.rng_state import seed_everything
from pluglab.testing import components
from pluglab_testing.rig import Rig, setting_for
from tests.testing.cheap import OPTIONS

BATCH = 16
PLUGINS = sorted(e.name for e in entry_points(group="pluglab") if e.value.startswith("pluglab_"))


@cache
def trainers(names: tuple[str, ...] = ()) -> list[Any]:
    """These, or all, each with images that it takes."""
    found = [part for plugin in PLUGINS for part in components(plugin, options=OPTIONS)]
    parts = [part for part in found if part.kind == "trainer" and (not names or part.name in names)]
    for part in parts:
        part.entry.load()
        setting_for(part)
    return parts


def share(batch: Batch, rank: int, processes: int) -> Batch:
    labels = None if batch.labels is None else batch.labels[rank::processes]
    layout = torch.channels_last
    images = batch.images[rank::processes].to(torch.get_default_dtype())
    return Batch(images.contiguous(memory_format=layout), labels)


def train(part: Any, fabric: LabFabric) -> dict[str, Any]:
    """A trainer's state after some steps, in double precision where it can."""
    torch.set_default_dtype(torch.float32 if part.name == "stylegan2_lite" else torch.float64)
    rank, processes = fabric.global_rank, fabric.world_size
    fabric.begin()
    with patch("pluglab_testing.rig.LabFabric", lambda hardware: fabric):
        rig = Rig(part)
    seed_everything(2)
    total = rig.steps
    for step in (0, total // 2, total - 1):  # of trainers with phases, in all of them
        batch = {role: share(one, rank, processes) for role, one in rig.batch(step, BATCH).items()}
        rows = len(next(iter(batch.values())).images)
        with fabric.batch(), whole_batch(rank, processes, rows):
            rig.trainer.step(batch, Progress(step, total))
    return rig.state()


def _work(rank: int, processes: int, port: int, folder: Path, names: tuple[str, ...]) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(processes))
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(processes), NODE_RANK="0")
    torch.set_num_threads(1)
    fabric = LabFabric(Hardware("cpu", processes, "32", True, False, 1, "tested"))
    fabric.launch()
    found = {}
    for part in trainers(names):
        found[part.name] = train(part, fabric)
    if rank == 0:
        torch.save(found, folder / f"{processes}.pt")
    if processes > 1:
        torch.distributed.destroy_process_group()


def states(processes: int, folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The states of these trainers, or of all, by name, trained by that many processes."""
    trainers(names)  # before the processes part
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(
        _work, (processes, port, folder, names), nprocs=processes, start_method="fork"
    )
    found: dict[str, dict[str, Any]] = torch.load(folder / f"{processes}.pt")
    return found
