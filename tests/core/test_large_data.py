"""Data larger than memory: a mapped file of a million images, of which there are only zeros, costs none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.format import open_memmap

from pluglab.data.batches import Order, Stream
from pluglab.images import Images

COUNT, MB = 1_000_000, 1_000_000


def own_memory() -> int:
    """Bytes of memory that this process has for itself; pages of mapped files are not among them."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it")
def test_a_million_images_are_trained_on_in_the_memory_of_their_order(tmp_path: Path) -> None:
    path = tmp_path / "pixels.npy"
    open_memmap(path, mode="w+", dtype=np.uint8, shape=(COUNT, 3, 32, 32)).flush()
    pixels = torch.from_numpy(np.load(path, mmap_mode="c"))
    assert pixels.nbytes > 3000 * MB
    before = own_memory()
    stream = Stream(Images(pixels), "train", seed=0, batch_size=64, device=torch.device("cpu"))
    used = []
    for step in (*range(20), *range(15_620, 15_630)):  # an epoch ends after 15,625 steps
        stream.batch(step)
        used.append(own_memory() - before)
    # The order of one epoch, and what torch keeps for itself.
    assert max(used) < 8 * COUNT + 6 * MB, used
    assert used[-1] - used[5] < 4 * MB, used


def test_the_order_of_one_epoch_is_kept_and_no_other() -> None:
    order = Order(0, "train", 1000)
    batches = [order.batch(step, 300) for step in range(7)]
    assert order._kept is not None and order._kept[0] == 2 and order._kept[1].nbytes == 8 * 1000
    assert all(batch.untyped_storage().nbytes() == 8 * 300 for batch in batches)
