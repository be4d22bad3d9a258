"""The first step of a training, looked at: what would spoil the rest of it is told before hours are spent.

These are the checks of `lab check` that cost next to nothing; none copies a weight.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pluglab.plain import leaves
from pluglab.plugins.contracts import ContractError, place_in, place_of
from pluglab.protocols import Batch
from pluglab.training.trainer import modules_of, optimizers_of, plain_module, plain_optimizer


@contextmanager
def looked_at(
    trainer: Any, batch: Mapping[str, Batch], tell: Callable[[str], None], *, scaled: bool = False
) -> Iterator[None]:
    """Around the first step. Raises `ContractError` for what no step may do; `tell` is told what is odd.

    `scaled` losses of fp16 may begin with steps that are left out.
    """
    before, versions, seed = settings(), _versions(batch), torch.initial_seed()
    with _counting(trainer) as count:
        yield
    at = _place(trainer, "step")
    if changed := [name for name, value in settings().items() if before[name] != value]:
        message = f"step changes {changed[0]} for everyone"
        raise ContractError(message, help=["use a `with` block"], where=at)
    if changed := [name for name, version in _versions(batch).items() if versions[name] != version]:
        raise ContractError(f"step changes the {changed[0]} in place", help=["work on a copy"], where=at)
    if torch.initial_seed() != seed:
        help = ["a run would draw the same numbers at each step"]
        raise ContractError("step seeds torch's global random generator", help=help, where=at)
    if culprit := unloadable(trainer.state_dict()):
        message = f"torch.load(weights_only=True) does not take its state_dict(): {culprit}"
        help = ["tensors, numbers, texts, and lists and mappings of them"]
        raise ContractError(message, help=help, where=_place(trainer, "state_dict"))
    if count is not None and not count and not scaled:
        tell("the first step made no step of any optimizer")
    for name in at_rest(trainer):
        tell(f"the first step left '{name}', which is trained, in evaluation mode")


def settings() -> dict[str, Any]:
    """What torch is told for all that runs in a process, in words."""
    return {
        "whether gradients are recorded": torch.is_grad_enabled(),
        "torch's default dtype": torch.get_default_dtype(),
        "the number of threads": torch.get_num_threads(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "whether algorithms are deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
    }


def _place(trainer: object, method: str) -> str:
    """The line of a method, or of the class where another package's base has it."""
    own = (getattr(one, "__module__", "") or "" for one in (getattr(trainer, method), type(trainer)))
    same = len({module.partition(".")[0] for module in own}) == 1
    return place_in(trainer, method) if same else place_of(type(trainer))


def _versions(batch: Mapping[str, Batch]) -> dict[str, int]:
    """A tensor's version grows with each change in place, of a view of it too."""
    return {
        f"{what} of '{role}'": tensor._version
        for role, one in batch.items()
        for what, tensor in {"images": one.images, "labels": one.labels, **(one.extra or {})}.items()
        if isinstance(tensor, Tensor) and not tensor.is_inference()
    }


@contextmanager
def _counting(trainer: object) -> Iterator[list[str] | None]:
    """The names of optimizers that make a step inside; None where that cannot be known."""
    made, optimizers = list[str](), {n: plain_optimizer(o) for n, o in optimizers_of(trainer).items()}
    known = all(isinstance(one, torch.optim.Optimizer) for one in optimizers.values())
    with ExitStack() as stack:
        for name, one in optimizers.items() if known else ():
            hook = one.register_step_post_hook(lambda *_, name=name: made.append(name))
            stack.callback(hook.remove)
        yield made if known and optimizers else None


def at_rest(trainer: object) -> Iterator[str]:
    """Networks with parameters of an optimizer that are in evaluation mode from top to bottom."""
    optimizers = map(plain_optimizer, optimizers_of(trainer).values())
    held = {id(p) for one in optimizers for group in one.param_groups for p in group["params"]}
    for name, network in modules_of(trainer).items():
        plain = plain_module(network)
        trained = any(id(p) in held for p in plain.parameters())
        if trained and not any(module.training for module in plain.modules()):
            yield name


# State ---------------------------------------------------------------------------------------------------


def unloadable(state: Any) -> str:
    """What of a state keeps a checkpoint from being loaded; empty where nothing does."""
    if _loads(_without_tensors(state)):
        return ""
    held = dict(leaves(state))
    path = next((path for path, value in held.items() if not _loads(_without_tensors(value))), None)
    if path is None:
        return "one of its keys or containers"
    kind = type(held[path]).__name__
    return f"'{path}' is {'an' if kind[:1] in 'aeiouAEIOU' else 'a'} {kind}"


def _without_tensors(value: Any, nothing: Tensor | None = None) -> Any:
    """A state whose plain tensors are all one that holds nothing: as good to try, and small."""
    nothing = torch.empty(0) if nothing is None else nothing
    if type(value) in (Tensor, nn.Parameter):
        return nothing
    if type(value) in (dict, OrderedDict):
        return type(value)((key, _without_tensors(one, nothing)) for key, one in value.items())
    if type(value) in (list, tuple):
        return type(value)(_without_tensors(one, nothing) for one in value)
    return value


def _loads(value: Any) -> bool:
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception:
        return False
    return True
