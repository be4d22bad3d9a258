"""What most trainers share: state by attribute, set-up through Fabric, steps of optimizers.

Nothing in the core asks for `TrainerBase`; anything with the methods of `protocols.Trainer` will do.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from pluglab.components import Options
from pluglab.plugins.contracts import ContractError, place_in
from pluglab.protocols import Batch, Progress, Role
from pluglab.training.accumulation import accumulation_of
from pluglab.training.ema import EMA
from pluglab.training.fabric import Fabric, is_wrapped

CONTAINERS = nn.ModuleList, nn.ModuleDict
# Of gradients at images in fp16. The scale of losses grows until a step is left out, and what is computed
# from such a gradient, a penalty for one, would then be logged as infinite.
INPUT_SCALE = 2.0**10
UNLIMITED = 1e30  # a norm of gradients that is never reached: they are multiplied by 1
Mode = Literal["train", "eval"]


class TrainerBase:
    """Saves and restores every attribute that has a `state_dict`; hands modules and optimizers to Fabric.

    Networks in an `nn.ModuleList` or `nn.ModuleDict` count one by one.
    """

    Config: ClassVar[type[BaseModel]] = Options
    roles: ClassVar[tuple[Role, ...]] = (Role("train"),)
    by_share: ClassVar[str] = ""
    """What several processes each take from their own share of a batch, in words: they then train not quite
    what one does. A loss that compares the images of a batch with one another is of that kind."""
    fabric: Fabric

    def setup(self, fabric: Fabric) -> None:
        """Raises `ContractError` for networks in a plain list or mapping, which would be missed."""
        refuse_hidden(self)
        self.fabric = fabric
        for place in list(_places(self)):
            place.put(fabric.setup_module(place.module))
        for name, optimizer in optimizers_of(self).items():
            setattr(self, name, fabric.setup_optimizers(optimizer))
        for average in _attributes(self, EMA).values():
            average.setup(fabric)

    @abstractmethod
    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        raise TypeError(f"{type(self).__name__} must define step(batch, progress)")

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in _stateful(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in _stateful(self).items():
            part.load_state_dict(state[name])

    def update(self, optimizer: torch.optim.Optimizer, loss: Tensor, gradient: Tensor | None = None) -> None:
        """One optimizer step down the gradient of `loss`, or a part of one where steps are accumulated.

        With `gradient`, `loss` may have any shape, and this is the gradient with respect to it, of a mean
        over the batch. Gradients are scaled for fp16 and clipped as the recipe says. Raises `ContractError`
        for a second step of an optimizer on one part of a batch, whose parts make one step.
        """
        now = accumulation_of(self.fabric)
        if now.parts > 1 and id(optimizer) in now.updated:
            raise ContractError(
                f"{type(self).__name__}.step updates one optimizer several times, and no such step can be "
                "accumulated over parts of a batch",
                help=["leave gradient_accumulation_steps out, or add up the losses and update once"],
                where=place_in(self, "step"),
            )
        now.updated.add(id(optimizer))
        if now.first:
            optimizer.zero_grad(set_to_none=True)
        if gradient is None:
            self.fabric.backward(loss / now.parts if now.parts > 1 else loss)
        else:
            self.fabric.backward(loss, gradient / now.parts if now.parts > 1 else gradient)
        if now.last:
            if now.max_grad_norm or now.norms is not None:
                norm = self.clip_gradients(optimizer, now.max_grad_norm or UNLIMITED)
                if now.norms is not None:
                    now.norms[f"gradient_norm/{short_names(self)[id(optimizer)]}"] = norm
            optimizer.step()

    def clip_gradients(self, optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
        """Scale the gradients of an optimizer's parameters down to a common norm of at most `max_norm`.

        Returns the norm that they had.
        """
        # Of a strategy that shards networks the first argument would matter; those that we use ignore it.
        strategy, nothing = self.fabric.strategy, nn.Module()
        plain = plain_optimizer(optimizer)
        return strategy.clip_gradients_norm(nothing, plain, max_norm, error_if_nonfinite=False)

    def input_gradient(self, output: Tensor, inputs: Tensor, *, create_graph: bool = False) -> Tensor:
        """The gradient of the sum of `output` with respect to `inputs`, scaled on its way for fp16."""
        plain = getattr(self.fabric, "scaler", None) is None
        total = output.sum() if plain else output.sum() * INPUT_SCALE
        (gradient,) = torch.autograd.grad(total, inputs, create_graph=create_graph)
        return gradient if plain else gradient / INPUT_SCALE


def plain_optimizer(optimizer: Any) -> torch.optim.Optimizer:
    """An optimizer out of Fabric's wrapper."""
    found: torch.optim.Optimizer = getattr(optimizer, "optimizer", optimizer)
    return found


def plain_module(module: nn.Module) -> nn.Module:
    """A network out of Fabric's wrapper."""
    found: nn.Module = module.module if is_wrapped(module) else module  # type: ignore[assignment]
    return found


@dataclass(frozen=True)
class _Place:
    """Where a trainer keeps a network: an attribute, or an item of a container."""

    name: str
    owner: Any
    key: str
    module: nn.Module

    def put(self, module: nn.Module) -> None:
        if isinstance(self.owner, nn.ModuleList):
            self.owner[int(self.key)] = module
        elif isinstance(self.owner, nn.ModuleDict):
            self.owner[self.key] = module
        else:
            setattr(self.owner, self.key, module)


def _places(trainer: object) -> Iterator[_Place]:
    for name, module in _attributes(trainer, nn.Module).items():
        yield from _within(name, trainer, name, module)


def _within(name: str, owner: Any, key: str, module: nn.Module) -> Iterator[_Place]:
    if isinstance(module, CONTAINERS):
        for part, child in module.named_children():
            yield from _within(f"{name}.{part}", module, part, child)
    else:
        yield _Place(name, owner, key, module)


def modules_of(trainer: object) -> dict[str, nn.Module]:
    """The networks that a trainer holds: attributes, and items of module lists and dicts ('nets.a')."""
    return {place.name: place.module for place in _places(trainer)}


def optimizers_of(trainer: object) -> dict[str, torch.optim.Optimizer]:
    """The optimizers that a trainer holds as attributes."""
    return _attributes(trainer, torch.optim.Optimizer)


def short_names(trainer: object) -> dict[int, str]:
    """What each of a trainer's optimizers is called in logs, by its id: 'generator' where the attribute is
    'generator_optimizer'."""
    found = optimizers_of(trainer).items()
    return {id(one): name.replace("optimizer", "").strip("_") or name for name, one in found}


def learning_rates(trainer: object) -> dict[str, float]:
    """The present rate of each optimizer as 'lr/<optimizer>'; of further groups of parameters, where it is
    another, as 'lr/<optimizer>/<number>'."""
    names, rates = short_names(trainer), dict[str, float]()
    for optimizer in optimizers_of(trainer).values():
        groups = [float(group["lr"]) for group in optimizer.param_groups if "lr" in group]
        for number, rate in enumerate(groups):
            if number == 0 or rate != groups[0]:
                place = f"/{number}" if number else ""
                rates[f"lr/{names[id(optimizer)]}{place}"] = rate
    return rates


def refuse_hidden(trainer: object) -> None:
    """Raises `ContractError` for networks, optimizers or averages in a plain list or mapping of a trainer.

    They would be neither moved to the device, nor saved, nor put into evaluation mode.
    """
    for name, value in vars(trainer).items():
        if name != "fabric" and isinstance(value, (list, tuple, set, dict)) and _holds_parts(value):
            kind = "nn.ModuleDict" if isinstance(value, dict) else "nn.ModuleList"
            raise ContractError(
                f"{type(trainer).__name__} keeps networks or optimizers in a plain {type(value).__name__}, "
                f"'{name}', where they would be neither set up nor saved",
                help=[f"put networks into an {kind}, and optimizers into attributes of their own"],
                where=place_in(trainer, "__init__"),
            )


def _holds_parts(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, dict)):
        return any(map(_holds_parts, value.values() if isinstance(value, dict) else value))
    return isinstance(value, (nn.Module, torch.optim.Optimizer, EMA))


def _attributes(owner: object, kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(owner).items() if isinstance(value, kind)}


def _stateful(owner: object) -> dict[str, Any]:
    held = {name: value for name, value in vars(owner).items() if not isinstance(value, nn.Module)}
    parts = {k: v for k, v in held.items() if hasattr(v, "state_dict") and hasattr(v, "load_state_dict")}
    others = {name: part for name, part in parts.items() if not isinstance(part, Fabric)}
    return {**modules_of(owner), **others}


def set_mode(trainer: object, mode: Mode) -> None:
    """Put every network of the trainer into training or evaluation mode, and optimizers that have modes."""
    for module in modules_of(trainer).values():
        module.train(mode == "train")
    for optimizer in optimizers_of(trainer).values():
        switch = getattr(plain_optimizer(optimizer), mode, None)
        if callable(switch):
            switch()
