"""Every random generator that a trainer might draw from: seeding, saving, restoring."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import distributed


def seed_everything(seed: int) -> None:
    """Seed every generator that a trainer might draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - a trainer may use numpy's global generator
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """Every generator's state, in types that `torch.load(weights_only=True)` takes."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
    }


def random_states(world_size: int) -> list[dict[str, Any]]:
    """The states of all processes in their order; each gets them."""
    states: list[Any] = [random_state()]
    if world_size > 1:
        states = [None] * world_size
        distributed.all_gather_object(states, random_state())
    return states


@contextmanager
def unchanged_random_state() -> Iterator[None]:
    """Whatever is drawn inside, every generator is afterwards as it was."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)


@contextmanager
def own_random_numbers(seed: int) -> Iterator[None]:
    """What is drawn inside is a function of the seed; every generator is afterwards as it was."""
    with unchanged_random_state():
        seed_everything(seed)
        yield


def restore_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    version, values, gauss = state["python"]
    random.setstate((version, tuple(values), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
