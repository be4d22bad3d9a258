"""Between two logs nothing in a step waits for the device: no number is fetched, no shape depends on one.

Trainers are moved to torch's device 'meta', whose tensors have shapes and no numbers. So `.item()`, `.cpu()`,
`bool(tensor)`, `nonzero`, a mask as an index and whatever else needs numbers fail there, in forward and
backward passes alike, and everything else goes as on a GPU. Nothing is computed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pluglab import Batch, Progress
from pluglab.engine.hardware import LabFabric
from pluglab.engine.meters import Meter
from pluglab.plugins.returned import check_logs
from pluglab.testing import components
from pluglab.training.trainer import optimizers_of
from pluglab_testing.rig import Rig
from tests.training.several import trainers

META = torch.device("meta")


class Plain(LabFabric):
    """It hands back what it is given to set up."""

    def setup_module(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return module

    def setup_optimizers(self, *optimizers: torch.optim.Optimizer) -> Any:
        return optimizers[0]

    def no_backward_sync(self, *args: Any, **kwargs: Any) -> Any:
        return nullcontext()


def without_numbers(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """A tensor like it on 'meta'; the same one for the same."""
    if id(self) not in memo:
        like = torch.empty_strided(self.size(), self.stride(), dtype=self.dtype, device=META)
        weight = isinstance(self, nn.Parameter)
        memo[id(self)] = nn.Parameter(like, self.requires_grad) if weight else like
    found: Tensor = memo[id(self)]
    return found


def on_meta(trainer: Any) -> Any:
    """A copy of it there, whose optimizers make no steps: torch's own are not looked into."""
    trainer = copy.deepcopy(trainer, {id(trainer.fabric): trainer.fabric})
    for optimizer in optimizers_of(trainer).values():
        optimizer.step = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return trainer


def step_without_numbers(rig: Rig, step: int) -> None:
    """Raises what torch does where a number is needed."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(LabFabric, "device", META))
        stack.enter_context(patch.object(torch, "autocast", lambda *args, **kwargs: nullcontext()))
        for kind in (Tensor, nn.Parameter):
            stack.enter_context(patch.object(kind, "__deepcopy__", without_numbers))
        trainer, batch = on_meta(rig.trainer), copy.deepcopy(rig.batch(step, 8))
        logs = trainer.step(batch, Progress(step, rig.steps))
        check_logs(trainer, logs)
        Meter().add(logs)
        assert {value.device for value in logs.values()} <= {META}


def rig_of(part: Any) -> Rig:
    with patch("pluglab_testing.rig.LabFabric", Plain):
        return Rig(part)


@pytest.mark.parametrize("part", trainers(), ids=str)
def test_no_step_waits_for_the_device(part: Any) -> None:
    rig = rig_of(part)
    for step in (0, rig.steps // 2, rig.steps - 1):
        step_without_numbers(rig, step)


WAITING: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.sum().item(),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "numpy": lambda x: x.detach().numpy(),
    "tolist": lambda x: x.tolist(),
    "float": lambda x: float(x.sum()),
    "bool": lambda x: bool((x > 0).any()),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "equal": lambda x: torch.equal(x, x + 1),
    "unique": lambda x: x.unique(),
}


@pytest.mark.parametrize("name", WAITING)
def test_a_step_that_waits_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (part,) = trainers(("vae",))
    rig, own = rig_of(part), part.target.step

    def step(self: Any, batch: dict[str, Batch], progress: Progress) -> Any:
        WAITING[name](batch["train"].images)
        return own(self, batch, progress)

    monkeypatch.setattr(part.target, "step", step)
    with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
        step_without_numbers(rig, 0)


# Transforms, whose generators there are none of on 'meta' -----------------------------------------------

TRANSFORMS = [part for part in components("datasets") if part.kind == "transform"]


class _Waits(TorchDispatchMode):
    """Counts the operations after which the device would be waited for."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.removeprefix("aten::")
        masks = name.startswith("index") and any(_is_mask(one) for one in args[1] if one is not None)
        if name in self.NAMES or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def _is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.bool, torch.uint8)


def waits(call: Callable[[Tensor], Any]) -> list[str]:
    x = torch.rand(8, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with _Waits() as watch:
        call(x)
    return watch.found


@pytest.mark.parametrize("part", TRANSFORMS, ids=str)
def test_no_transform_waits_for_the_device(part: Any) -> None:
    transform, generator = part.built(), torch.Generator().manual_seed(0)
    assert waits(lambda x: transform(x, generator)) == []


def test_a_transform_that_waits_is_noticed() -> None:
    assert all(
        waits(WAITING[name]) for name in ("item", "float", "bool", "nonzero", "mask", "equal", "unique")
    )
