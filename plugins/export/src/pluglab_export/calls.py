"""Which networks a model calls, and with what: found out by calling what the model can do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pluglab import EMA, Classifies, Embeds, Reconstructs, Samples, TrainedModel, UserError
from pluglab_export.trees import mapped

SIZES = 2, 5  # images that each thing is asked for: what differs between the two is the batch
IN_PARTS = "only parts of it are called"  # why a network has no graph

Arguments = Mapping[str, Any]
"""What a network was called with, by the names of its parameters: tensors are on the CPU, floats float32."""


@dataclass
class Network:
    """A network of the model, or the average that stands in for it, and how it is called.

    `called_to`: 'sample', 'predict', ... `calls`: the first call of each kind, for each of `SIZES` where
    there was one. Kinds differ in what is no tensor, such as a role. There are none of a network that is
    called in parts only.
    """

    name: str
    module: nn.Module
    averaged: bool
    called_to: list[str] = field(default_factory=list)
    calls: dict[str, dict[int, Arguments]] = field(default_factory=dict)


def called_networks(model: TrainedModel, say: Callable[[str], None]) -> list[Network]:
    """The networks that the model calls when it samples, predicts, embeds or reconstructs.

    Of a network that is called itself as well as its average, the average. Raises `UserError` for a model
    that does none of these, or calls no network for them.
    """
    watch = _Watch(list(_networks(model)))
    with watch.hooks():
        for n in SIZES:
            for ability, call in abilities(model, n):
                say(f"{ability}: {n} images")
                watch.ability, watch.n = ability, n
                call()
    called = [network for network in watch.networks if network.called_to]
    if not called:
        help = ["networks of a trainer that can do one of these are exported"]
        message = f"'{model.name}' calls no network to sample, predict, embed or reconstruct"
        raise UserError(message, help=help)
    for network in called:
        if not network.averaged and any(one.averaged and one.name == network.name for one in called):
            say(f"{network.name}: called itself as well as its average; the average is exported")
    return list({network.name: network for network in reversed(called)}.values())[::-1]


def abilities(model: TrainedModel, n: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """What the model can do with n images, by name; of images each role's own kind, random ones."""
    if model.can(Samples):
        yield "sample", partial(model.sample, n)
    uses = {"predict": (Classifies, model.predict), "embed": (Embeds, model.embed)}
    for name, (wanted, use) in {**uses, "reconstruct": (Reconstructs, model.reconstruct)}.items():
        for role, spec in model.specs.items() if model.can(wanted) else ():
            generator = torch.Generator().manual_seed(n)
            images = torch.randint(256, (n, *spec.shape), generator=generator, dtype=torch.uint8)
            yield name, partial(use, images, role)


def _networks(model: TrainedModel) -> Iterator[Network]:
    """Each network, after its average if it has one."""
    averages = {id(one.source): one.network for one in vars(model.trainer).values() if isinstance(one, EMA)}
    for name, module in model.modules().items():
        if id(module) in averages:
            yield Network(name, averages[id(module)], averaged=True)
        yield Network(name, module, averaged=False)


class _Watch:
    """Notes the calls of networks while the model does something with `n` images."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks, self.ability, self.n = networks, "", 0

    @contextmanager
    def hooks(self) -> Iterator[None]:
        with ExitStack() as stack:
            for network in self.networks:
                parts = [
                    part.register_forward_pre_hook(self._part(network)) for part in network.module.modules()
                ]
                whole = network.module.register_forward_pre_hook(self._whole(network), with_kwargs=True)
                for handle in (*parts, whole):
                    stack.callback(handle.remove)
            yield

    def _part(self, network: Network) -> Callable[..., None]:
        def note(module: nn.Module, inputs: Any) -> None:
            if self.ability not in network.called_to:
                network.called_to.append(self.ability)

        return note

    def _whole(self, network: Network) -> Callable[..., None]:
        def note(module: nn.Module, args: Any, kwargs: Any) -> None:
            given = inspect.signature(module.forward).bind(*args, **kwargs).arguments
            calls = network.calls.setdefault(repr(mapped(given, _kind)), {})
            if self.n not in calls:
                calls[self.n] = mapped(given, _copy)

        return note


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} of {tensor.ndim} axes"


def _copy(tensor: Tensor) -> Tensor:
    copy = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return copy.float() if copy.is_floating_point() else copy
