"""What several processes draw, and what they train, is what one does with the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluglab.data import Images, whole_batch
from pluglab.data.batches import Stream
from pluglab.data.whole_batch import batch_norm
from pluglab_datasets.transforms import RandomAffine
from pluglab_testing.processes import states, unlike
from tests.training.several import trainers

SHARED = ((2, 8), (4, 4), (3, 16))  # processes, rows of each


def channels_last(n: int) -> Tensor:
    return torch.zeros(n, 3, 5, 5).contiguous(memory_format=torch.channels_last)


DRAWN: dict[str, Callable[[int], Tensor]] = {
    "normal": lambda n: torch.randn(n, 7),
    "named size": lambda n: torch.rand(size=(n, 2)),
    "like channels_last": lambda n: torch.randn_like(channels_last(n)),
    "numbers of an axis each": lambda n: torch.rand(4 * n),
    "two batches": lambda n: torch.rand(2 * n, 3),
    "parts of a batch": lambda n: torch.cat([torch.rand(n // 2, 3), torch.rand(n // 2, 3)], 0),
    "whole numbers": lambda n: torch.randint(1, 9, (n, 1, 1)),
    "from a generator": lambda n: torch.empty(n, 9).normal_(generator=torch.Generator().manual_seed(3)),
    "in place": lambda n: torch.empty(n, 9).uniform_(-1, 1),
    "of given probability": lambda n: torch.bernoulli(torch.full((n, 5), 0.3)),
    "classes": lambda n: torch.multinomial(torch.ones(n, 9), 1),
    "dropout": lambda n: nn.Dropout(0.3)(torch.ones(n, 33)),
    "dropout of channels": lambda n: F.dropout2d(torch.ones(n, 6, 4, 4), 0.4),
    "gumbel": lambda n: F.gumbel_softmax(torch.zeros(n, 4)),
    "one for all": lambda n: torch.rand(()).expand(n).clone(),
}


@pytest.mark.parametrize(("processes", "rows"), SHARED)
@pytest.mark.parametrize("name", DRAWN)
def test_each_row_draws_as_it_would_alone(name: str, processes: int, rows: int) -> None:
    draw, shares, after = DRAWN[name], [], []
    for rank in range(processes):
        torch.manual_seed(0)
        with whole_batch.whole_batch(rank, processes, rows):
            shares.append(draw(rows))
        after.append(torch.rand(3))
    torch.manual_seed(0)
    whole = draw(processes * rows)
    then = torch.rand(3)
    assert all(torch.equal(one, then) for one in after)  # their random state is the same afterwards
    blocks = len(whole) // (processes * rows)
    for rank, share in enumerate(shares):
        own = whole.unflatten(0, (blocks, -1))[:, rank::processes].flatten(0, 1)
        assert torch.equal(share, own), rank


@pytest.mark.parametrize("processes", [2, 3])
def test_images_are_changed_alike_in_any_number_of_processes(processes: int) -> None:
    pixels = torch.randint(
        0, 256, (30, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )

    def images(rank: int, world_size: int) -> Tensor:
        stream = Stream(
            Images(pixels),
            "train",
            seed=1,
            batch_size=12,
            device=torch.device("cpu"),
            transforms=[RandomAffine(RandomAffine.Config())],
            rank=rank,
            world_size=world_size,
        )
        return stream.batch(4).images

    whole = images(0, 1)
    for rank in range(processes):
        torch.testing.assert_close(images(rank, processes), whole[rank::processes], rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4, 3)])
def test_batch_norm_is_that_of_torch(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    one, other = nn.BatchNorm2d(5).double(), nn.BatchNorm2d(5).double()
    with patch.object(whole_batch, "summed", lambda x: x):
        found = batch_norm(1, x, one.running_mean, one.running_var, one.weight, one.bias, True, 0.1, 1e-5)
        expected = F.batch_norm(x, other.running_mean, other.running_var, other.weight, other.bias, True)
        torch.testing.assert_close(found, expected)
        for name in ("running_mean", "running_var"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name))
        gradients = [torch.autograd.grad(y.cos().sum(), x, create_graph=True)[0] for y in (found, expected)]
        torch.testing.assert_close(*gradients)
        torch.testing.assert_close(*(torch.autograd.grad(g.square().sum(), x)[0] for g in gradients))


# `lab check` has two processes train what one does, and tests/testing/test_first_party.py asks it of all.


@pytest.mark.slow
def test_four_processes_train_what_one_does(tmp_path: Path) -> None:
    parts = [part for part in trainers() if not part.target.by_share]
    one, four = states(1, tmp_path, parts), states(4, tmp_path, parts)
    assert {name: unlike(one[name], four[name]) for name in one} == dict.fromkeys(one, "")
