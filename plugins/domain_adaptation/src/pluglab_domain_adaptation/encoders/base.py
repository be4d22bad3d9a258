"""The part of an encoder that depends on nothing but its networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import nn

from pluglab.components import Options
from pluglab.protocols import ImageSpec


class EncoderBase:
    """Keeps the options and measures `out_features`, so that presets only write their layers."""

    Config: ClassVar[type[BaseModel]] = Options

    def __init__(self, config: Any, spec: ImageSpec) -> None:
        self.config, self.spec = config, spec
        self.out_features = count_features(self.features, spec, type(self).__name__)

    def features(self) -> nn.Module:
        raise TypeError(f"{type(self).__name__} must define features()")

    def private_features(self) -> nn.Module:
        return self.features()


def count_features(build: Callable[[], nn.Module], spec: ImageSpec, name: str) -> int:
    """F of the network that `build` makes, found by two blank images, and no random number is used up.

    On the device "meta" nothing would be computed, but torch imports its compiler for it: 2 s.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers without elements: the error below says it better
        try:
            features = build()(torch.empty(2, spec.channels, spec.height, spec.width))
        except (RuntimeError, ValueError):
            ways = "give the data sets a larger `size`", "or choose another encoder: `lab list encoders`"
            spec.require(False, f"encoder {name}", "larger ones", *ways)
            raise
    return int(features.shape[1])


def pooled(rectifier: nn.Module) -> list[nn.Module]:
    """A rectifier and the largest of each 2 x 2, in the order that costs less: the largest rectified value
    is the rectified largest, and there are a quarter as many of these."""
    return [nn.MaxPool2d(2), rectifier]
