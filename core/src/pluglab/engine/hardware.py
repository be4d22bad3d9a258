"""`[run]` made concrete: which device, arithmetic and memory layout, chosen by what the hardware can do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import OptState

from pluglab.engine.memory import keep_freed_memory
from pluglab.errors import UserError
from pluglab.recipe.keys import Machine
from pluglab.training.accumulation import Accumulation
from pluglab.training.fabric import Fabric, MixedPrecision, Precision
from pluglab.training.precision import native_bf16


@dataclass(frozen=True)
class Hardware:
    """What `auto` became. `reason` is printed and recorded."""

    device: str
    devices: int
    precision: str
    channels_last: bool
    compile: bool
    threads: int
    reason: str

    def summary(self) -> str:
        layout = "channels_last" if self.channels_last else "contiguous"
        compiled = ", compiled" if self.compile else ""
        return f"{self.device} x {self.devices}, {self.precision}, {layout}{compiled} ({self.reason})"


def resolve_hardware(machine: Machine) -> Hardware:
    """Settle every `auto`. Raises `UserError` for a device that is not there."""
    if machine.threads != "auto":
        torch.set_num_threads(machine.threads)
    if machine.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    device = _device(machine.device)
    if device == "cpu":
        keep_freed_memory()
    native, reason = native_bf16(device)
    precision = ("bf16" if native else "32") if machine.precision == "auto" else machine.precision
    channels_last = device != "mps" if machine.channels_last == "auto" else machine.channels_last
    asked = [name for name in ("device", "precision", "channels_last") if getattr(machine, name) != "auto"]
    reason = f"{', '.join(asked)} as asked" if asked else reason
    return Hardware(
        device, machine.devices, precision, channels_last, machine.compile, torch.get_num_threads(), reason
    )


def _device(asked: str) -> str:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked != "auto":
        if not there[asked]:
            raise UserError(f"there is no '{asked}' device here", help=["set run.device to 'auto' or 'cpu'"])
        return asked
    return next(name for name in ("cuda", "mps", "cpu") if there[name])


class Autocast(MixedPrecision):
    """Autocast to bf16 or fp16. It scales no loss by itself, so that gradients may be taken anywhere.

    Penalties on gradients need that. Fabric sees by this very function that `fabric.backward` is no must.
    """

    backward = Precision.backward
    within_batch = False

    def optimizer_step(self, optimizer: Any, **kwargs: Any) -> Any:
        """A step, left out where gradients are not finite. Within a batch the scale stays as it is, since the
        gradients of another optimizer may have been taken under it."""
        if self.scaler is None:
            return super().optimizer_step(optimizer, **kwargs)
        self._begin_again(optimizer)
        output = self.scaler.step(optimizer, **kwargs)
        if not self.within_batch:
            self.scaler.update()
        return output

    def unscale_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        self._begin_again(optimizer)
        super().unscale_gradients(optimizer)

    def _begin_again(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimizer step several times under one scale, as a critic does.

        What its last step found in its gradients is kept, under a key that is no id, until the scale is
        updated.
        """
        if self.scaler is None:
            return
        states = self.scaler._per_optimizer_states
        if states[id(optimizer)]["stage"] is OptState.STEPPED:
            states[-len(states)] = states.pop(id(optimizer))

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Inside, the scale of losses stays; afterwards it is updated by all the steps."""
        self.within_batch = True
        try:
            yield
        finally:
            self.within_batch = False
        if self.scaler is not None and self.scaler._per_optimizer_states:
            self.scaler.update()


PRECISIONS: dict[str, Literal["bf16-mixed", "16-mixed"]] = {"bf16": "bf16-mixed", "fp16": "16-mixed"}


class LabFabric(Fabric):
    """Lightning Fabric that also sees to memory layout, compilation, scaled losses and parts of batches, so
    that no trainer has to."""

    def __init__(self, hardware: Hardware) -> None:
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # we say it ourselves
        mixed = PRECISIONS.get(hardware.precision)
        plugins: Any = [Autocast(mixed, hardware.device)] if mixed else None
        super().__init__(accelerator=hardware.device, devices=hardware.devices, plugins=plugins)
        self.hardware = hardware
        self.begin()

    def begin(self) -> None:
        """Begin a run, with nothing left over from one before."""
        self.accumulation = Accumulation()
        precision = self.strategy.precision
        if isinstance(precision, Autocast) and precision.scaler is not None:
            precision.scaler = torch.amp.GradScaler(precision.device)

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """What scales losses where fp16 would lose small gradients."""
        found: torch.amp.GradScaler | None = getattr(self.strategy.precision, "scaler", None)
        return found

    def batch(self) -> AbstractContextManager[None]:
        """Around all that is done with one batch, so that its losses have one scale."""
        precision = self.strategy.precision
        return precision.batch() if isinstance(precision, Autocast) else nullcontext()

    def backward(self, tensor: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gradients of `tensor`, scaled as the optimizers' steps expect them."""
        super().backward(tensor if self.scaler is None else self.scaler.scale(tensor), *args, **kwargs)

    def setup_optimizers(self, *optimizers: torch.optim.Optimizer) -> Any:
        for optimizer in optimizers:
            optimizer.register_step_pre_hook(self._refuse_early)
        return super().setup_optimizers(*optimizers)

    def _refuse_early(self, *_: object) -> None:
        """Raises `UserError` for a step before the last part of a batch."""
        now = self.accumulation
        if not now.last:
            raise UserError(
                f"the trainer steps an optimizer after part {now.part + 1} of {now.parts} of a batch",
                help=["leave gradient_accumulation_steps out", "a trainer that ends in update() can do it"],
            )

    def setup_module(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if self.hardware.channels_last:
            module = module.to(memory_format=torch.channels_last)
        if self.hardware.compile:
            compile_whole(module)
        return super().setup_module(module, *args, **kwargs)


def compile_whole(module: nn.Module, **options: Any) -> None:
    """What `module.compile()` does, for any network, and with the random numbers of before.

    torch leaves frames of its own alone: of an `nn.Sequential` torch 2.11 compiles, one by one, those layers
    that are not torch's. Called from here, it is one graph. Each shape has a graph of its own, since one for
    any shape is more than the compiler can make of some networks.
    """
    options = options or {"options": {"fallback_random": True}}
    call: Callable[..., Any] = module._call_impl

    def forward(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    module._compiled_call_impl = torch.compile(forward, dynamic=False, **options)
