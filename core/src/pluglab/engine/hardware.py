"""`[run]` made concrete: which device, arithmetic and memory layout, chosen by what the hardware can do."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from torch import nn

from pluglab.errors import UserError
from pluglab.recipe.keys import Machine


@dataclass(frozen=True)
class Choice:
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


def choose(machine: Machine) -> Choice:
    """Settle every `auto`. Raises `UserError` for a device that is not there."""
    if machine.threads != "auto":
        torch.set_num_threads(machine.threads)
    if machine.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    device = _device(machine.device)
    native, reason = native_bf16(device)
    precision = ("bf16" if native else "32") if machine.precision == "auto" else machine.precision
    channels_last = device != "mps" if machine.channels_last == "auto" else machine.channels_last
    asked = [name for name in ("device", "precision", "channels_last") if getattr(machine, name) != "auto"]
    reason = f"{', '.join(asked)} as asked" if asked else reason
    return Choice(
        device, machine.devices, precision, channels_last, machine.compile, torch.get_num_threads(), reason
    )


def _device(asked: str) -> str:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked != "auto":
        if not there[asked]:
            raise UserError(f"there is no '{asked}' device here", help=["set run.device to 'auto' or 'cpu'"])
        return asked
    return next(name for name in ("cuda", "mps", "cpu") if there[name])


def native_bf16(device: str) -> tuple[bool, str]:
    """Whether bf16 matrix products run in hardware there, and the words for it.

    Emulated bf16 is slower than float32, so capability decides: compute capability 8 on NVIDIA, AVX-512
    bf16 or AMX on x86.
    """
    if device == "cuda":
        native = torch.cuda.get_device_capability()[0] >= 8
        return native, f"{torch.cuda.get_device_name()} {'computes' if native else 'lacks'} bf16 natively"
    if device == "cpu" and platform.machine() in ("x86_64", "AMD64"):
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        native = any(getattr(torch.cpu, probe, bool)() for probe in probes)
        return native, f"the CPU {'computes' if native else 'lacks'} bf16 natively"
    return False, f"no native bf16 known on {device}"


class BFloat16(MixedPrecision):
    """Autocast to bf16. No loss is scaled, so that gradients may be taken anywhere, as penalties on them are,
    and not only by `fabric.backward`; Fabric sees that by this very function."""

    backward = Precision.backward


class LabFabric(Fabric):
    """Lightning Fabric that also sees to memory layout and compilation, so that no trainer has to."""

    def __init__(self, choice: Choice) -> None:
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # we say it ourselves
        plugins: Any = [BFloat16("bf16-mixed", choice.device)] if choice.precision == "bf16" else None
        super().__init__(accelerator=choice.device, devices=choice.devices, plugins=plugins)
        self.choice = choice

    def setup_module(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if self.choice.channels_last:
            module = module.to(memory_format=torch.channels_last)
        if self.choice.compile:
            module.compile()
        return super().setup_module(module, *args, **kwargs)
