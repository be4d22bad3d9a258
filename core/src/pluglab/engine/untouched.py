"""A look at a trainer leaves it as it was: what can be put back is, to the last bit; the rest is checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, distributed, nn

from pluglab.engine.rng_state import own_random_numbers
from pluglab.plain import leaves
from pluglab.plugins.contracts import ContractError, place_in
from pluglab.training.ema import EMA
from pluglab.training.trainer import (
    Mode,
    modules_of,
    optimizers_of,
    plain_module,
    plain_optimizer,
    set_mode,
)

COLUMNS = 1021
INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their bytes


@contextmanager
def evaluating(trainer: object, seed: int) -> Iterator[None]:
    """Evaluation mode, no gradients, random numbers of its own: training goes on as if nothing had been."""
    modes = [(module, module.training) for one in _networks(trainer).values() for module in one.modules()]
    before: Mode = "train" if any(mode for _, mode in modes) else "eval"
    gradients = [
        (p, p.grad, p.requires_grad) for one in modules_of(trainer).values() for p in one.parameters()
    ]
    # An optimizer with modes moves the weights to and fro, which rounds them.
    weights = [(p, p.detach().clone()) for p in _moved_by_modes(trainer)]
    set_mode(trainer, "eval")
    for parameter, *_ in gradients:
        parameter.grad = None
    try:
        with own_random_numbers(seed), torch.no_grad():
            yield
    finally:
        set_mode(trainer, before)
        for module, mode in modes:
            module.training = mode
        for parameter, gradient, wanted in gradients:
            with suppress(RuntimeError):  # of another dtype or device now, which `unchanged` tells
                parameter.requires_grad_(wanted).grad = gradient
        with torch.no_grad():
            for parameter, value in weights:
                parameter.copy_(value)


@contextmanager
def unchanged(trainer: Any, evaluator: object) -> Iterator[None]:
    """Raises `ContractError`, by the evaluator's name, where its look has changed the trainer.

    Of several processes the first checks: in the others a call of a network takes over the first's buffers.
    """
    first = not (distributed.is_available() and distributed.is_initialized() and distributed.get_rank())
    before = _state(trainer) if first else {}
    yield
    after = _state(trainer) if first else {}
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if changed:
        more = f" and {len(changed) - 1} more" if changed[1:] else ""
        raise ContractError(
            f"{type(evaluator).__name__}.evaluate changes the trainer: '{changed[0]}'{more}",
            help=[
                "training would go on from there: change a copy, as copy.deepcopy(trainer.net)",
                "a network in training mode changes its batch norm's statistics",
            ],
            where=place_in(evaluator, "evaluate"),
        )


def state_of(trainer: Any) -> int:
    """A number that changes with whatever the outputs of its networks depend on."""
    modules = [module for one in _networks(trainer).values() for module in one.modules()]
    hooks = [(id(m), m.training, *m._forward_hooks, *m._forward_pre_hooks) for m in modules]
    return hash((repr(_state(trainer)), *hooks))


def _networks(trainer: object) -> dict[str, nn.Module]:
    averages = {name: one.network for name, one in vars(trainer).items() if isinstance(one, EMA)}
    return {**modules_of(trainer), **averages}


def _moved_by_modes(trainer: object) -> Iterator[nn.Parameter]:
    for optimizer in map(plain_optimizer, optimizers_of(trainer).values()):
        if callable(getattr(optimizer, "eval", None)):
            yield from (p for group in optimizer.param_groups for p in group["params"])


def _state(trainer: Any) -> dict[str, Any]:
    """All that training goes on from, by name: tensors as their kind and content."""
    found: dict[str, Any] = {
        name: _stamp(value) if isinstance(value, Tensor) else repr(value)
        for name, value in leaves(trainer.state_dict())
    }
    for part, network in _networks(trainer).items():
        plain = plain_module(network)
        for name, buffer in plain.named_buffers():
            if f"{part}.{name}" not in found:
                found[f"{part}.{name}"] = _stamp(buffer)
        # Equal parameters in the place of these would not be those that the optimizer steps.
        found[part] = [id(parameter) for parameter in plain.parameters()]
    return found


def _stamp(tensor: Tensor) -> tuple[object, ...]:
    return tensor.dtype, tensor.device, tensor.shape, _content(tensor)


def _content(tensor: Tensor) -> int:
    """A number that any change of one value changes, and any change of several but by chance.

    Its bits as integers, in columns whose sums are weighed by their places.
    """
    flat = (tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()).flatten()
    bits = flat.view(INTEGERS.get(flat.element_size(), torch.uint8))
    weights = torch.arange(1, 2 * COLUMNS, 2, device=bits.device)  # odd, so that no product is 0
    whole = len(bits) // COLUMNS * COLUMNS
    sums = bits[:whole].view(-1, COLUMNS).sum(0, dtype=bits.dtype)
    rest = bits[whole:]
    return int((sums * weights).sum() - (rest * weights[: len(rest)]).sum())
