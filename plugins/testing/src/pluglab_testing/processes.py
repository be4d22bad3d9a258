"""Trainers in several processes of this machine, each with its share of every batch."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.spawn import start_processes

from pluglab import Batch, Progress
from pluglab.conformance import Hardware, LabFabric, seed_everything, whole_batch
from pluglab_testing.rig import Rig
from pluglab_testing.subjects import Part

BATCH = 16  # images of a step, of all processes together
TOLERANCE = 1e-4  # of the largest entry of a tensor, in double precision
SMALL = 1e-6  # what is smaller everywhere is rounding, as of a bias that a norm takes away again
PATIENCE = 120  # seconds


def unlike(one: dict[str, Any], several: dict[str, Any]) -> str:
    """The first tensor that several processes have trained to something else; empty where there is none."""
    for name, value in one.items():
        if isinstance(value, Tensor) and value.numel():
            difference = (several[name].double() - value.double()).abs().max()
            if difference > TOLERANCE * value.double().abs().max().clamp_min(SMALL):
                return name
    return ""


def states(processes: int, folder: Path, parts: list[Part]) -> dict[str, dict[str, Any]]:
    """The states of trainers, by name, each trained by that many processes of this machine.

    Raises `ProcessRaisedException` for what is raised in one, and `TimeoutError`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = start_processes(
        _work, (processes, port, folder, parts), nprocs=processes, join=False, start_method="fork"
    )
    assert context is not None
    end = time.monotonic() + PATIENCE * len(parts)
    try:
        while not context.join(1):
            if time.monotonic() > end:
                raise TimeoutError(f"{processes} processes have not come to an end")
    finally:
        for process in context.processes:
            process.kill()
    found: dict[str, dict[str, Any]] = torch.load(folder / f"{processes}.pt")
    return found


def _work(rank: int, processes: int, port: int, folder: Path, parts: list[Part]) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(processes))
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(processes), NODE_RANK="0")
    torch.set_num_threads(1)
    fabric = LabFabric(Hardware("cpu", processes, "32", True, False, 1, "checked"))
    fabric.launch()
    found = {part.name: _train(part, fabric) for part in parts}
    if rank == 0:
        torch.save(found, folder / f"{processes}.pt")
    if processes > 1:
        torch.distributed.destroy_process_group()


def _train(part: Part, fabric: LabFabric) -> dict[str, Any]:
    """A trainer's state after three steps: of one with phases, in all of them. In double precision, since
    Adam makes much of the last digits of a small gradient."""
    torch.set_default_dtype(torch.float64)
    rank, processes = fabric.global_rank, fabric.world_size
    fabric.begin()
    rig = Rig(part, fabric=fabric)
    seed_everything(2)
    for step in (0, rig.steps // 2, rig.steps - 1):
        batch = {role: _share(one, rank, processes) for role, one in rig.batch(step, BATCH).items()}
        rows = len(next(iter(batch.values())).images)
        with fabric.batch(), whole_batch(rank, processes, rows):
            rig.trainer.step(batch, Progress(step, rig.steps))
    return rig.state()


def _share(batch: Batch, rank: int, processes: int) -> Batch:
    labels = None if batch.labels is None else batch.labels[rank::processes]
    images = batch.images[rank::processes].to(torch.get_default_dtype())
    return Batch(images.contiguous(memory_format=torch.channels_last), labels)
