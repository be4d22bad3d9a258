"""A trainer's networks described: each is run on its example inputs, on a copy that holds no numbers."""

from __future__ import annotations

import copy
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pluglab.architecture.networks import Architecture, Layer, Memory, Network, Shape
from pluglab.capabilities import HasNetworks, can
from pluglab.errors import RunError
from pluglab.training.trainer import modules_of, plain_module

INDENT = "  "


def describe(trainer: Any, batch_size: int = 1) -> Architecture:
    """The networks that the trainer lists, in its order; memory is counted at the batch size.

    Of a trainer that lists none those that it holds, without what their layers give. Neither their state nor
    any random generator is changed by it. Raises `RunError` where a network does not take its own example
    inputs.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        networks = [
            _network(name, plain_module(module), inputs, batch_size)
            for name, (module, inputs) in _listed(trainer).items()
        ]
    return Architecture(tuple(networks), batch_size)


def _listed(trainer: Any) -> Mapping[str, tuple[nn.Module, Sequence[Tensor] | None]]:
    if can(trainer, HasNetworks):
        return cast(HasNetworks, trainer).networks()
    return {name: (module, None) for name, module in modules_of(trainer).items()}


def _network(name: str, module: nn.Module, inputs: Sequence[Tensor] | None, batch_size: int) -> Network:
    rows, calls, given = _looked_at(name, module, inputs)
    seen: set[int] = set()
    layers = tuple(_layer(row, calls.get(id(row.module), []), seen) for row in rows)
    outputs = [output for found in calls.values() for call in found for output in call]
    memory = Memory(
        sum(one.bytes(batch_size) for one in given),
        sum(one.bytes(batch_size) for one in outputs),
        sum(item.numel() * item.element_size() for item in module.parameters()),
    )
    return Network(name, _type(module), tuple(one.shape for one in given), layers, nested(module), memory)


# Layers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """A layer under one of the `names` that its network has it under."""

    name: str
    module: nn.Module
    names: Sequence[str]


def _rows(module: nn.Module) -> list[_Row]:
    """Layers without parts, and modules that own parameters besides their parts', each under all its names.

    A module that is met again is one row, whatever its parts.
    """
    names: dict[int, list[str]] = {}
    return [_Row(name, part, names[id(part)]) for name, part in list(_found(module, "", names))]


def _found(module: nn.Module, name: str, names: dict[int, list[str]]) -> Iterator[tuple[str, nn.Module]]:
    again = id(module) in names
    names.setdefault(id(module), []).append(name)
    parts = _parts(module)
    if again or not parts or _own_parameters(module):
        yield name, module
    for key, part in () if again else parts:
        yield from _found(part, f"{name}.{key}" if name else key, names)


def _parts(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Torch keeps the weight of a parametrized layer (spectral norm, say) in parts of it; still one layer."""
    hidden = _parametrizations(module)
    return [(key, part) for key, part in module._modules.items() if part not in (None, hidden)]


def _parametrizations(module: nn.Module) -> nn.Module | None:
    return cast(nn.Module, module.parametrizations) if parametrize.is_parametrized(module) else None


def _own_parameters(module: nn.Module) -> list[nn.Parameter]:
    extra = _parametrizations(module)
    return [*module.parameters(recurse=False), *(extra.parameters() if extra is not None else [])]


def _layer(row: _Row, calls: Sequence[_Call], seen: set[int]) -> Layer:
    """`seen` are the parameters that earlier layers have counted."""
    own = list({id(item): item for item in _own_parameters(row.module) if id(item) not in seen}.values())
    seen.update(map(id, own))
    place, count = row.names.index(row.name), len(calls)
    if count == len(row.names):  # a call a name: in turn, as far as one can tell
        calls, count = calls[place:], 1
    elif place:
        calls, count = (), 0
    return Layer(
        row.name,
        _type(row.module),
        arguments_of(row.module),
        tuple(output.shape for call in calls[:1] for output in call),
        count,
        sum(item.numel() for item in own),
        sum(item.numel() for item in own if item.requires_grad),
        row.names[0] if place else None,
    )


# As it is printed --------------------------------------------------------------------------------------


def nested(module: nn.Module) -> str:
    """What `print(module)` shows, but with a parametrized layer in one line."""
    head = f"{_type(module)}({arguments_of(module)}"
    parts = [f"({key}): {nested(part)}" for key, part in _parts(module)]
    if not parts:
        return f"{head})"
    lines = "\n".join(parts).replace("\n", f"\n{INDENT}")
    return f"{head}\n{INDENT}{lines}\n)"


def arguments_of(module: nn.Module) -> str:
    """As `print(module)` shows them, with what the weights are parametrized by: 'spectral norm'."""
    return ", ".join(filter(None, [module.extra_repr(), *dict.fromkeys(_normalizations(module))]))


def _normalizations(module: nn.Module) -> Iterator[str]:
    hidden = _parametrizations(module)
    for part in hidden.modules() if hidden is not None else ():
        if not list(part.children()):
            yield re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(part).__name__.strip("_")).lower()


def _type(module: nn.Module) -> str:
    return parametrize.type_before_parametrizations(module).__name__


# A pass ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Value:
    """What goes in, or comes out of a layer: its shape, and the bytes of a number."""

    shape: Shape
    itemsize: int

    def bytes(self, batch_size: int) -> int:
        sizes = (
            int(size.removesuffix("N") or 1) * batch_size if isinstance(size, str) else size
            for size in self.shape
        )
        return self.itemsize * math.prod(sizes)


_Call = list[_Value]
_Pass = dict[int, list[_Call]]


def _looked_at(
    name: str, module: nn.Module, inputs: Sequence[Tensor] | None
) -> tuple[list[_Row], _Pass, list[_Value]]:
    """The layers, the calls of each by its id, and the inputs.

    A copy on torch's device `meta` computes shapes only. What cannot be copied, or needs numbers, is run, and
    so is everything where torch's compiler, which `meta` needs, has not been imported.
    """
    if inputs is None:
        return _rows(module), {}, []
    if "torch._dynamo" in sys.modules:  # else `meta` would import it: 1.4 s, more than a pass takes
        with suppress(Exception):
            return _sized(*_without_numbers(module, inputs))
    try:
        with _undisturbed(module):
            return _sized(module, [item.to(_device(module)) for item in inputs])
    except Exception as error:
        shapes = ", ".join(" x ".join(map(str, item.shape)) for item in inputs)
        raise RunError(f"network '{name}' cannot run on example inputs {shapes}: {error}") from error


def _without_numbers(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[nn.Module, list[Tensor]]:
    """A copy in evaluation mode whose parameters and buffers have shapes only, and such inputs."""
    kept: dict[int, Any] = {
        id(one): nn.Parameter(one.detach().to("meta"), one.requires_grad) for one in module.parameters()
    }
    kept |= {id(one): one.detach().to("meta") for one in module.buffers()}
    return copy.deepcopy(module, kept).eval(), [item.to("meta") for item in inputs]


def _sized(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[list[_Row], _Pass, list[_Value]]:
    """Sizes that double with the inputs are those of the batch."""
    rows = _rows(module)
    batch = next((len(item) for item in inputs if item.ndim), 1)
    doubled = [torch.cat([item, item]) if item.ndim else item for item in inputs]
    once, twice = _pass(module, rows, inputs), _Pass()
    with suppress(Exception):  # one that takes batches of this size only
        twice = _pass(module, rows, doubled)
    calls = {
        key: [
            [_value(a, b, batch) for a, b in zip(*pair, strict=True)]
            for pair in zip(found, twice.get(key, found), strict=True)
        ]
        for key, found in once.items()
    }
    given = [_value(_measured(a), _measured(b), batch) for a, b in zip(inputs, doubled, strict=True)]
    return rows, calls, given


def _measured(tensor: Tensor) -> _Value:
    return _Value(tuple(tensor.shape), tensor.element_size())


def _value(one: _Value, doubled: _Value, batch: int) -> _Value:
    sizes = zip(one.shape, doubled.shape, strict=True)
    return _Value(tuple(_size(int(size), int(other), batch) for size, other in sizes), one.itemsize)


def _size(size: int, doubled: int, batch: int) -> int | str:
    times, rest = divmod(size, batch)
    if doubled != 2 * size or rest:
        return size
    return "N" if times == 1 else f"{times}N"


def _pass(module: nn.Module, rows: Sequence[_Row], inputs: Sequence[Tensor]) -> _Pass:
    """What each layer gave in each of its calls."""
    found: _Pass = {id(row.module): [] for row in rows}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        found[id(module)].append(list(map(_measured, _tensors(output))))

    with ExitStack() as stack, torch.no_grad():
        for part in {id(row.module): row.module for row in rows}.values():
            stack.callback(part.register_forward_hook(note).remove)
        module(*inputs)
    return found


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (Mapping, Sequence)) and not isinstance(output, str):
        for item in output.values() if isinstance(output, Mapping) else output:
            yield from _tensors(item)


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and every mode and buffer as before afterwards."""
    modes = {part: part.training for part in module.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        for buffer, value in buffers:
            buffer.copy_(value)


def _device(module: nn.Module) -> torch.device:
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device
