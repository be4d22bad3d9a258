"""Networks as functions of tensors alone, with examples of what they are called with."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pluglab_export.calls import SIZES, Arguments, Network
from pluglab_export.trees import leaves, mapped, tensors_of

Tensors = tuple[Tensor, ...]


class Plain(nn.Module):
    """A network that is given its tensors in a row, and everything else as in one call of it.

    It returns the tensors of the output in a row. The network is a copy on the CPU, in float32 and in
    evaluation mode.
    """

    def __init__(self, network: nn.Module, arguments: Arguments) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().float().to(memory_format=torch.contiguous_format).eval()
        self.requires_grad_(False)
        self.arguments = mapped(arguments, lambda _: torch.empty(0))

    def forward(self, *tensors: Tensor) -> Tensors:
        return tuple(self.named(tensors).values())

    def named(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        """The tensors of the network's output by their names."""
        given = iter(tensors)
        bound = inspect.BoundArguments(
            inspect.signature(self.network.forward), mapped(self.arguments, lambda _: next(given))
        )
        return tensors_of(self.network(*bound.args, **bound.kwargs), "output")


@dataclass(frozen=True)
class Function:
    """One way of calling a network.

    `inputs` and `outputs` are the names of its tensors, `axes` of each input the names of the axes whose
    length is free, and `fixed` the arguments that are no tensors. `examples` are inputs, one for each number
    of images in `images`.
    """

    name: str
    plain: Plain
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: tuple[dict[int, str], ...]
    fixed: dict[str, Any]
    examples: tuple[Tensors, ...]
    images: tuple[int, ...]

    def results(self, inputs: Tensors, seed: int = 0) -> Tensors:
        """What the network makes of the inputs, as `seed` has it if it draws random numbers."""
        with torch.random.fork_rng([]), torch.no_grad():
            torch.manual_seed(seed)
            # Copies, because a network may change what it is given.
            return tuple(self.plain(*(tensor.clone() for tensor in inputs)))

    def shape(self, index: int) -> list[int | str]:
        """The lengths of an input's axes; the name of one that is free."""
        lengths = self.examples[0][index].shape
        return [self.axes[index].get(axis, length) for axis, length in enumerate(lengths)]


def functions_of(network: Network) -> list[Function]:
    """The ways in which a network is called. Those that give equal results, to the last bit, are one."""
    groups: list[list[Function]] = []
    for calls in network.calls.values():
        new = _function(network, calls)
        group = next((group for group in groups if _agree(group[0], new)), None)
        if group is None:
            groups.append([new])
        else:
            group.append(new)
    common = [_common([one.fixed for one in group]) for group in groups]
    names = _names(network.name, common)
    return [
        replace(group[0], name=name, fixed=fixed)
        for group, name, fixed in zip(groups, names, common, strict=True)
    ]


def _function(network: Network, calls: Mapping[int, Arguments]) -> Function:
    plain = Plain(network.module, next(iter(calls.values())))
    named = [tensors_of(arguments) for arguments in calls.values()]
    examples, images = [tuple(tensors.values()) for tensors in named], list(calls)
    axes = _free_axes(examples)
    arguments = next(iter(calls.values()))
    fixed = {name: v for name, v in leaves(arguments) if v is not None and not isinstance(v, Tensor)}
    with torch.random.fork_rng([]), torch.no_grad():
        outputs = tuple(plain.named([tensor.clone() for tensor in examples[0]]))
    function = Function(
        network.name, plain, tuple(named[0]), outputs, axes, fixed, tuple(examples), tuple(images)
    )
    return _with_one_image(function)


def _free_axes(examples: Sequence[Tensors]) -> tuple[dict[int, str], ...]:
    """Of each input the axes that differ between the examples; those that differ alike have one name."""
    names: dict[tuple[int, ...], str] = {}
    found = []
    for same in zip(*examples, strict=True):
        lengths = dict(enumerate(zip(*(t.shape for t in same), strict=True)))
        free = {axis: of for axis, of in lengths.items() if len(set(of)) > 1}
        for of in free.values():
            names.setdefault(of, f"batch_{len(names) + 1}" if names else "batch")
        found.append({axis: names[of] for axis, of in free.items()})
    return tuple(found)


def _with_one_image(function: Function) -> Function:
    """With an example of one image more, cut out of the first, where the network takes that."""
    count = function.images[0]
    if not any(function.axes) or count not in SIZES:
        return function
    single = []
    for tensor, axes in zip(function.examples[0], function.axes, strict=True):
        for axis in axes:
            tensor = tensor.narrow(axis, 0, tensor.shape[axis] // count)
        single.append(tensor.contiguous())
    try:
        function.results(tuple(single))
    except Exception:  # one image may be too few for it: a deviation over the batch
        return function
    return replace(function, examples=(*function.examples, tuple(single)), images=(*function.images, 1))


def _agree(known: Function, new: Function) -> bool:
    inputs = new.examples[0]
    if known.inputs != new.inputs or [t.shape for t in inputs] != [t.shape for t in known.examples[0]]:
        return False
    pairs = zip(known.results(inputs), new.results(inputs), strict=True)
    return known.outputs == new.outputs and all(torch.equal(one, other) for one, other in pairs)


def _common(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {k: v for k, v in tables[0].items() if all(k in table and table[k] == v for table in tables)}


def _names(network: str, fixed: Sequence[Mapping[str, Any]]) -> list[str]:
    """The network's name where it is called in one way; else with what distinguishes each, or its number."""
    if len(fixed) == 1:
        return [network]
    shared = _common(fixed)
    words = ["_".join(str(v) for k, v in table.items() if k not in shared) for table in fixed]
    words = [re.sub(r"[^A-Za-z0-9]+", "_", word).strip("_") for word in words]
    distinct = all(words) and len(set(words)) == len(words)
    return [f"{network}.{word if distinct else i + 1}" for i, word in enumerate(words)]
