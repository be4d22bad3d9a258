"""What is asked of a trainer, one check after the other."""

from __future__ import annotations

import inspect
import io
import random
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pluglab import Batch, UserError
from pluglab.conformance import (
    at_rest,
    place_in,
    random_state,
    restore_random_state,
    seed_everything,
    settings,
    unloadable,
)
from pluglab.training.trainer import optimizers_of, plain_optimizer
from pluglab_testing import tiny
from pluglab_testing.checking import (
    Fault,
    NotAsked,
    NotDone,
    check,
    first_difference,
    own_world,
    place_of_error,
    same,
)
from pluglab_testing.rig import Rig, saved
from pluglab_testing.subjects import Part

TOO_FEW = "Expected more than 1 value per channel"  # torch's word for batch norm of one value
SEED = 2
FIRST, SECOND = 11, 12  # seeds that a trainer must not replace
PLAIN = bool, int, float, str, type(None)


def _at(part: Part, method: str) -> str:
    """The line of a method, or of the class where it has that of another's base."""
    own = part.is_authors(getattr(getattr(part.target, method, None), "__module__", ""))
    return place_in(part.target, method) if own else part.place


@check("trainer", "made", gates=True)
def is_made(part: Part) -> None:
    """It is made from its options and the images' shapes, and set up through Fabric"""
    Rig(part)


@check("trainer", "step", gates=True)
def steps(part: Part) -> None:
    """`step` returns finite scalar tensors by name"""
    for step, logs in enumerate(_training(part).logs):
        _check_finite(part, logs, f"step {step}")


class _Training:
    """A whole one, by which others are measured: weights before and after, and what was logged."""

    def __init__(self, part: Part) -> None:
        rig = self.rig = Rig(part)
        self.made, self.weights_made = rig.state(), _weights(rig)
        seed_everything(SEED)
        self.logs = [_step(rig, step) for step in range(rig.steps)]
        self.state, self.weights = rig.state(), _weights(rig)


def _training(part: Part) -> _Training:
    return part.once("training", lambda: _Training(part))


def _weights(rig: Rig) -> dict[str, list[Tensor]]:
    """Those that each optimizer holds, copied."""
    return {
        name: [p.detach().clone() for group in plain_optimizer(one).param_groups for p in group["params"]]
        for name, one in optimizers_of(rig.trainer).items()
    }


def _step(rig: Rig, step: int) -> dict[str, Tensor]:
    """A step; a failure that the labels of a role would cure is told as such."""
    hidden = [role.name for role in rig.roles if role.labels == "hidden"]
    try:
        return rig.step(step)
    except Exception as error:
        for name in hidden:
            if _goes(rig, step, name):
                message = f"step reads the labels of '{name}', which are hidden from it"
                where = place_of_error(error, rig.part)
                help = ['labels="required" or "optional" of its Role shows them']
                raise Fault(message, help=help, where=where) from error
        raise


def _goes(rig: Rig, step: int, role: str) -> bool:
    """Whether a step goes well once a role has labels."""
    batch = rig.batch(step)
    labels = tiny.rows(rig.shape, step, len(batch[role].images), rig.masks).labels
    try:
        rig.step(step, {**batch, role: Batch(batch[role].images, labels)})
    except Exception:
        return False
    return True


def _check_finite(part: Part, logs: dict[str, Tensor], when: str) -> None:
    for name, value in logs.items():
        if not value.float().isfinite():
            raise Fault(f"'{name}' is {value.item()} at {when}", where=_at(part, "step"))


@check("trainer", "labels")
def goes_without_labels(part: Part) -> None:
    """A role whose labels are optional may have none, or such data are refused with a `UserError`"""
    if all(role.labels != "optional" for role in part.target.roles):
        raise NotAsked
    for role in part.target.roles:
        if role.labels == "optional":
            rig = Rig(part)
            try:
                rig.step(0, rig.batch(0, unlabeled=[role.name]))
            except UserError:
                return
            except Exception as error:
                message = f"step fails where '{role.name}' has no labels, which are optional"
                help = ['labels="required" of its Role refuses such data before the training']
                raise Fault(message, help=help, where=place_of_error(error, part)) from error


@dataclass
class _Look:
    """What two steps of a trainer have done besides training, the first of them from the seed 11."""

    changed: list[str]
    """What of a batch was changed in place."""
    settings: list[str]
    at_rest: list[str]
    generators: dict[str, Any]


def _look(part: Part) -> _Look:
    return part.once("look", lambda: _looked_at(Rig(part)))


def _looked_at(rig: Rig) -> _Look:
    seed_everything(FIRST)
    before = settings()
    with own_world():
        changed = _changed_in_place(rig, 0)
        other = [name for name, value in settings().items() if before[name] != value]
        look = _Look(changed, other, list(at_rest(rig.trainer)), _generators())
    if not changed:
        with own_world():
            look.changed = _changed_in_place(rig, 1)
    return look


def _changed_in_place(rig: Rig, step: int) -> list[str]:
    """What a step changes of its batch."""
    batch = rig.batch(step)
    held = {
        f"{what} of '{role}'": tensor
        for role, one in batch.items()
        for what, tensor in (("images", one.images), ("labels", one.labels))
        if tensor is not None
    }
    before = {name: tensor.clone() for name, tensor in held.items()}
    rig.step(step, batch)
    return [name for name, tensor in held.items() if not same(before[name], tensor)]


@check("trainer", "batch")
def leaves_the_batch(part: Part) -> None:
    """`step` changes nothing in its batch"""
    for name in _look(part).changed:
        raise Fault(f"step changes the {name} in place", help=["work on a copy"], where=_at(part, "step"))


@check("trainer", "modes")
def leaves_training_mode(part: Part) -> None:
    """Networks that are trained are in training mode after a step"""
    for name in _look(part).at_rest:
        message = f"step leaves '{name}' in evaluation mode"
        raise Fault(message, help=[f"self.{name}.train() at its end"], where=_at(part, "step"))


@check("trainer", "settings")
def leaves_settings(part: Part) -> None:
    """A step leaves torch's global settings as they are: gradients, kinds of numbers, threads"""
    for name in _look(part).settings:
        message = f"step changes {name} for everyone"
        raise Fault(message, help=["use a `with` block"], where=_at(part, "step"))


@check("trainer", "random numbers")
def seeds_nothing(part: Part) -> None:
    """It seeds none of the global random generators"""
    first, rig = _look(part).generators, Rig(part)
    seed_everything(SECOND)
    rig.step(0)
    now = _generators()
    for name, state in first.items():
        if same(state, now[name]):
            message = f"step seeds {name}'s global random generator"
            help = ["a run would draw the same numbers at each step"]
            raise Fault(message, help=help, where=_at(part, "step"))


def _generators() -> dict[str, Any]:
    state = random_state()
    return {"torch": state["torch"], "Python": state["python"], "numpy": state["numpy"][1]}


@check("trainer", "construction")
def construction_seeds_nothing(part: Part) -> None:
    """Making it seeds none of the global random generators, so that the run's seed makes its weights"""
    rig, found = Rig(part), []
    for seed in (FIRST, SECOND):
        component = part.component()
        seed_everything(seed)
        component.build(rig.specs())
        found.append(_generators())
    for name, state in found[0].items():
        if same(state, found[1][name]):
            message = f"its construction seeds {name}'s global random generator"
            help = ["every seed of a recipe would begin with the same weights"]
            raise Fault(message, help=help, where=_at(part, "__init__"))


@check("trainer", "weights")
def weights_move(part: Part) -> None:
    """Each optimizer changes weights within a training"""
    whole = _training(part)
    steps = whole.rig.steps
    for name, now in whole.weights.items():
        if all(map(same, whole.weights_made[name], now)):
            message = f"{steps} steps change none of the weights of '{name}'"
            help = ["self.update(optimizer, loss) makes a step down the gradient of a loss"]
            raise Fault(message, help=help, where=_at(part, "step"))
    if not first_difference(whole.made, whole.state):
        raise Fault(f"{steps} steps change nothing in its state_dict()", where=_at(part, "step"))


# Again ---------------------------------------------------------------------------------------------------


@check("trainer", "twice")
def repeats(part: Part) -> None:
    """Two trainings from one seed are alike to the last bit"""
    first, again = _training(part), Rig(part)
    help = ["draw from torch's global generator, which the run seeds"]
    if name := first_difference(first.made, again.state()):
        message = f"made twice from one seed it differs: '{name}'"
        raise Fault(message, help=help, where=_at(part, "__init__"))
    before, middle = _attributes(again.trainer), again.steps // 2
    seed_everything(SEED)
    logs = again.train(0, middle)
    half = _half(again, before)
    logs += again.train(middle)
    if name := first_difference(first.logs, logs) or first_difference(first.state, again.state()):
        message = f"two trainings from one seed differ: {_of_step(name)}"
        raise Fault(message, help=help, where=_at(part, "step"))
    part.kept["half"] = half


@dataclass
class _Half:
    """A training in its middle: what a checkpoint would hold, and what moves and is not in it."""

    state: io.BytesIO
    random: dict[str, Any]
    unsaved: list[str]


def _half(rig: Rig, before: dict[str, Any]) -> _Half:
    random, state, now = random_state(), rig.trainer.state_dict(), _attributes(rig.trainer)
    moved = [name for name, value in now.items() if not same(before.get(name), value)]
    return _Half(saved(state), random, [name for name in moved if name not in state])


@check("trainer", "state", gates=True)
def state_is_plain(part: Part) -> None:
    """`state_dict` holds what `torch.load(weights_only=True)` takes, and loading it gives the same again"""
    rig = Rig(part)
    rig.step(0)
    state = rig.trainer.state_dict()
    if culprit := unloadable(state):
        message = f"torch.load(weights_only=True) does not take its state_dict(): {culprit}"
        help = ["tensors, numbers, texts, and lists and mappings of them"]
        raise Fault(message, help=help, where=_at(part, "state_dict"))
    loaded = torch.load(saved(state), weights_only=True)
    again = Rig(part)
    again.trainer.load_state_dict(loaded)
    if name := first_difference(rig.state(), again.state()):
        raise Fault(
            f"'{name}' is not what it was once its state is loaded", where=_at(part, "load_state_dict")
        )


@check("trainer", "resume")
def resumes(part: Part) -> None:
    """A training is its first half, saved, loaded, and its second half, to the last bit"""
    half: _Half | None = part.kept.get("half")
    if half is None:
        raise NotDone("two trainings from one seed are not alike")
    whole, again = _training(part), Rig(part)
    middle, end = again.steps // 2, again.steps
    again.trainer.load_state_dict(torch.load(half.state, weights_only=True))
    restore_random_state(half.random)
    rest = again.train(middle, end)
    name = first_difference(whole.logs[middle:], rest) or first_difference(whole.state, again.state())
    if name:
        message = (
            f"{end} steps are not {middle}, saved, loaded and {middle} more: {_of_step(name, middle)} differs"
        )
        help = [f"'{one}' changes as it trains, and is not in state_dict()" for one in half.unsaved]
        way = "state_dict() must hold all that a step depends on; Progress tells the step"
        where = next(
            filter(None, (_assigned(part.target, one) for one in half.unsaved)), _at(part, "state_dict")
        )
        raise Fault(message, help=help or [way], where=where)


def _of_step(name: str, first: int = 0) -> str:
    """'loss' at step 3 for '0.loss'."""
    number, _, rest = name.partition(".")
    return f"'{rest}' at step {int(number) + first}" if number.isdigit() and rest else f"'{name}'"


def _attributes(trainer: object) -> dict[str, Any]:
    """What can change in a trainer besides its networks and optimizers, as values to compare."""
    return {
        n: v for n, v in ((n, _value(v)) for n, v in vars(trainer).items() if n != "fabric") if v is not None
    }


def _value(thing: Any) -> Any:
    if isinstance(thing, PLAIN):
        return repr(thing)
    if isinstance(thing, Tensor):
        return thing.detach().clone()
    if isinstance(thing, torch.Generator):
        return thing.get_state()
    if isinstance(thing, random.Random):
        return repr(thing.getstate())
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, np.random.RandomState):
        return repr(thing.get_state(legacy=False))
    if isinstance(thing, (list, tuple, dict, set)) and len(repr(thing)) < 10_000:
        return repr(thing)
    return None


def _assigned(target: type, name: str) -> str:
    """The line of the class, or of a base, that makes an attribute."""
    for owner in target.__mro__[:-1]:
        try:
            lines, first = inspect.getsourcelines(owner)
        except (OSError, TypeError):
            continue
        found = [n for n, line in enumerate(lines) if re.search(rf"self\.{name}\b.*=", line)]
        if found:
            return f"{inspect.getsourcefile(owner)}:{first + found[0]}"
    return ""


# Other circumstances --------------------------------------------------------------------------------------


@check("trainer", "one image")
def takes_one_image(part: Part) -> None:
    """A batch of one image makes a step, or is refused; batch norm may refuse it"""
    rig = Rig(part)
    try:
        logs = rig.step(0, rig.batch(0, size=1))
    except (UserError, ValueError) as error:
        if isinstance(error, UserError) or TOO_FEW in str(error):
            return
        raise
    _check_finite(part, logs, "a step of one image")


@dataclass
class _Bf16:
    """Two steps in bf16: what they logged, and the first layer of each network that had no autocast."""

    rig: Rig
    logs: list[dict[str, Tensor]]
    passed: dict[str, str]


def _in_bf16(part: Part) -> _Bf16:
    return part.once("bf16", lambda: _train_in_bf16(Rig(part, "bf16")))


def _train_in_bf16(rig: Rig) -> _Bf16:
    with ExitStack() as stack:
        seen = {name: stack.enter_context(_watched(one)) for name, one in rig.networks().items()}
        logs = [rig.step(0)]
    return _Bf16(rig, [*logs, rig.step(1)], {name: layers[0] for name, layers in seen.items() if layers})


@check("trainer", "bf16")
def trains_in_bf16(part: Part) -> None:
    """It trains in bf16, its weights stay float32"""
    found = _in_bf16(part)
    for step, logs in enumerate(found.logs):
        _check_finite(part, logs, f"step {step} in bf16")
    for name, network in found.rig.networks().items():
        wrong = [p.dtype for p in network.parameters() if p.is_floating_point() and p.dtype != torch.float32]
        if wrong:
            raise Fault(f"the weights of '{name}' are {wrong[0]} in bf16", where=_at(part, "step"))


@check("trainer", "autocast")
def networks_are_autocast(part: Part) -> None:
    """In bf16, networks are called as Fabric has set them up, so that autocast reaches each layer"""
    for name, layer in _in_bf16(part).passed.items():
        message = (
            f"step calls '{f'{name}.{layer}'.rstrip('.')}' past what Fabric has set up, without autocast"
        )
        help = [f"call self.{name}(...), not a part of it or a reference kept from before setup"]
        raise Fault(message, help=help, where=_at(part, "step"))


@contextmanager
def _watched(network: nn.Module) -> Iterator[list[str]]:
    """The layers that are called outside a call of the network, and without autocast."""
    depth, passed, handles = [0], list[str](), list[Any]()

    def enters(*_: Any) -> None:
        depth[0] += 1

    def leaves_(*_: Any) -> None:
        depth[0] -= 1

    def sees(name: str) -> Any:
        def look(*_: Any) -> None:
            if not torch.is_autocast_enabled("cpu") and (depth[0] == 0 or not name):
                passed.append(name)

        return look

    for name, module in network.named_modules():
        if name == "" or next(module.parameters(recurse=False), None) is not None:
            handles.append(module.register_forward_pre_hook(sees(name)))
    handles.append(network.register_forward_pre_hook(enters))
    handles.append(network.register_forward_hook(leaves_, always_call=True))
    try:
        yield passed
    finally:
        for handle in handles:
            handle.remove()
