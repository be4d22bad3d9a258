"""Arithmetic that pays."""

from __future__ import annotations

import platform

import torch


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
