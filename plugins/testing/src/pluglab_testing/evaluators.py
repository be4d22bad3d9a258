"""What is asked of an evaluator: it looks at a trained model, changes nothing, and says the same twice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pluglab import Batch, Images, Options, Progress, Role, TrainerBase, UserError, capabilities, data_context
from pluglab.capabilities import can, is_capability, members_of, words_of
from pluglab.conformance import (
    Entry,
    Evaluated,
    EvaluationSplit,
    ImageArrays,
    Registry,
    RoleSplits,
    check_evaluation,
    check_promise,
    evaluating,
    place_in,
    seed_everything,
    unchanged,
)
from pluglab.protocols import (
    Checks,
    DataContext,
    Evaluation,
    EvaluationContext,
    Figure,
    Prepares,
    ProgressBar,
    RoleData,
)
from pluglab_testing import tiny
from pluglab_testing.checking import Fault, NotAsked, NotDone, check, first_difference, place_of_error
from pluglab_testing.rig import Rig
from pluglab_testing.subjects import Part

ROLES = ("train",), ("source", "target")
"""What the roles are called, until an evaluator finds those that it looks for."""
COUNT = 64  # images a split: some scores ask for more than eight
EVENT = {"event": "step", "step": 1, "loss": 1.0}


class _Bar:
    """A progress bar that shows nothing."""

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exc: object) -> None: ...
    def advance(self, amount: int = 1) -> None: ...


@contextmanager
def places() -> Iterator[DataContext]:
    """Empty folders to read from and to write to."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        root.mkdir()
        cache.mkdir()
        yield DataContext(root, cache, lambda title, total: _Bar())


# A trainer that can do what the evaluator asks for ---------------------------------------------------------


class Sampling(Options):
    """How the trainer below samples."""

    steps: int = 1
    """No step does anything."""


class _AbleToAll(TrainerBase):
    """One linear layer that can do, badly, all that the core has words for."""

    def __init__(self, config: Options, data: Mapping[str, Any]) -> None:
        spec = next(iter(data.values()))
        self.size = spec.shape
        pixels = spec.channels * spec.height * spec.width
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 4), nn.BatchNorm1d(4), nn.Dropout())
        self.head = nn.Linear(4, max(1, spec.num_classes))
        self.back = nn.Sequential(nn.Linear(4, pixels), nn.Tanh())
        parameters = (p for net in (self.net, self.head, self.back) for p in net.parameters())
        self.optimizer = torch.optim.SGD(parameters, 0.1)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        images = next(iter(batch.values())).images
        loss = self.back(self.net(images)).square().mean()
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}


def _predict(self: Any, images: Tensor, role: str) -> Tensor:
    logits: Tensor = self.head(self.net(images))
    return logits


def _predict_features(self: Any, features: Tensor, role: str) -> Tensor:
    logits: Tensor = self.head(features)
    return logits


def _embed(self: Any, images: Tensor, role: str) -> Tensor:
    features: Tensor = self.net(images)
    return features


def _latents(self: Any, n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, 4, generator=generator)


def _generate(self: Any, latents: Tensor, labels: Tensor | None) -> Tensor:
    images: Tensor = self.back(latents).unflatten(1, self.size)
    return images


def _sample(self: Any, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    return _generate(self, _latents(self, n, generator), labels)


def _reconstruct(self: Any, images: Tensor, role: str) -> Tensor:
    return _generate(self, self.net(images), None)


def _translate(self: Any, images: Tensor, role: str, to: str) -> Tensor:
    return _reconstruct(self, images, role)


def _trajectory(self: Any, n: int, labels: Tensor | None, generator: torch.Generator, frames: int) -> Any:
    images = _sample(self, n, labels, generator)
    times = torch.linspace(1, 0, frames).tolist()
    return times, torch.stack([images * (1 - time) for time in times])


def _diagnose(self: Any, scalars: Mapping[str, float]) -> list[str]:
    return []


def _networks(self: Any) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
    return {"net": (self.net, (torch.zeros(2, *self.size),))}


MEMBERS: Mapping[str, Any] = {
    "predict": _predict,
    "predict_features": _predict_features,
    "embed": _embed,
    "latents": _latents,
    "generate": _generate,
    "sample": _sample,
    "reconstruct": _reconstruct,
    "translate": _translate,
    "translations": (("source", "target"),),
    "trajectory": _trajectory,
    "diagnose": _diagnose,
    "networks": _networks,
    "num_classes": 0,
    "sampling": Sampling(),
}


def _trainer_with(needs: Collection[type], roles: Sequence[str]) -> type[TrainerBase]:
    """A trainer that can do what is asked for and nothing else."""
    members = {name: MEMBERS[name] for one in needs for name in members_of(one)}
    members["roles"] = tuple(map(Role, roles))
    return type("AbleToAll", (_AbleToAll,), members)


class _Own(Part):
    """Our own trainer as one that is registered."""

    @classmethod
    def of(
        cls, registry: Registry, needs: Collection[type], roles: Sequence[str], shape: tuple[int, int, int]
    ) -> Part:
        entry = Entry("trainer", "able", "pluglab", _trainer_with(needs, roles), registry=registry)
        entry.load()
        return cls(entry, registry, shape=shape)

    def component(self) -> Any:
        return None

    def built(self, *arguments: Any) -> Any:
        return self.target(Options(), *arguments)


def _rig(part: Part, roles: Sequence[str]) -> Rig:
    """A trainer for the evaluator: our own, or of needs that only others know, one that is registered."""
    needs = tuple(part.target.needs)
    stranger = next((one for one in needs if not set(members_of(one)) <= MEMBERS.keys()), None)
    registry = part.registry
    if stranger is None:
        return Rig(_Own.of(registry, needs, roles, part.shape or tiny.SHAPES[0]))
    for entry in registry.entries("trainer"):
        if all(can(entry.load(), one) for one in needs):
            return Rig(Part(entry, registry, shape=part.shape))
    raise NotDone(f"no trainer that is installed can {words_of(stranger)}")


# A look -------------------------------------------------------------------------------------------------


@dataclass
class Look:
    """An evaluator of a component, a trained model, and data to look at."""

    part: Part
    evaluator: Any
    rig: Rig
    labeled: bool = True
    read: set[str] = field(default_factory=set)

    def data(self, *, content: bool = True) -> RoleData:
        """Each role's splits; without `content` as before a training."""
        evaluated = Evaluated(torch.device("cpu") if content else None, True, self.read)
        return {role.name: RoleSplits(partial(self._split, role.name, evaluated)) for role in self.rig.roles}

    def _split(self, role: str, evaluated: Evaluated, split: str) -> EvaluationSplit:
        if split not in ("train", "test"):
            raise UserError(f"there is no split '{split}'", help=["splits: train, test"])
        images = tiny.images(self.rig.shape, split, COUNT, self.rig.masks)
        images = images if self.labeled else Images(images.pixels)
        return EvaluationSplit(role, split, "tiny", images.digest, images, (), evaluated, ImageArrays())

    def promise(self) -> Mapping[str, Collection[str]] | None:
        if not isinstance(self.evaluator, Checks):
            return None
        found = self.evaluator.check(self.rig.trainer, self.data(content=False))
        if found is not None and not isinstance(found, Mapping):
            message = f"check returns {type(found).__name__}: it must return roles by scalar, or None"
            raise Fault(message, where=place_in(self.part.target, "check"))
        return found

    def evaluate(self, folder: Path) -> Evaluation:
        """What it says, checked as the engine checks it."""
        run = folder / "run"
        (run / "figures").mkdir(parents=True, exist_ok=True)
        context = EvaluationContext(
            label="checked",
            step=1,
            steps=2,
            seed=7,
            run_seed=0,
            run=run,
            folder=run / "figures",
            cache=folder / "cache",
            history=(EVENT,),
            device=torch.device("cpu"),
            earlier=lambda figure: [],
        )
        with evaluating(self.rig.trainer, context.seed), unchanged(self.rig.trainer, self.evaluator):
            found = self.evaluator.evaluate(self.rig.trainer, self.data(), context)
        return check_evaluation(self.evaluator, found)


def _look(part: Part, *, labeled: bool = True, seed: int = 4) -> Look:
    """One at a model of one step, made by the seed. Raises `NotDone` where it lacks what it must fetch."""
    evaluator = part.once("evaluator", lambda: _prepared(part))
    rig = _rig(part, part.once("roles", lambda: _roles(part, evaluator)))
    seed_everything(seed)
    rig.step(0)
    return Look(part, evaluator, rig, labeled)


def _prepared(part: Part) -> Any:
    evaluator = part.built()
    if isinstance(evaluator, Prepares):
        try:
            evaluator.prepare(data_context(os.environ.get("LAB_DATA_ROOT")))
        except UserError as error:
            raise NotDone(f"it cannot be prepared: {error.message}") from error
    return evaluator


def _roles(part: Part, evaluator: Any) -> Sequence[str]:
    """The names of roles that it finds what it looks for in; where it refuses all, the first."""
    for roles in ROLES:
        try:
            Look(part, evaluator, _rig(part, roles)).promise()
        except UserError:
            continue
        else:
            return roles
    return ROLES[0]


def _first_look(part: Part) -> tuple[Look, Evaluation]:
    """A look at a model, and what the evaluator has said."""

    def make() -> tuple[Look, Evaluation]:
        look = _look(part)
        with places() as context:
            return look, look.evaluate(context.cache)

    return part.once("look", make)


@check("evaluator", "needs", gates=True)
def needs_are_there(part: Part) -> None:
    """It is made from its options, and asks for capabilities that there are"""
    part.component().build()
    if not all(map(is_capability, part.target.needs)):  # an instance's own
        raise Fault("needs must be capabilities", where=part.place)


@check("evaluator", "check")
def promises(part: Part) -> None:
    """`check` says before the training what it will report, without reading the data"""
    look = _look(part)
    if not isinstance(look.evaluator, Checks):
        raise NotAsked
    try:
        look.promise()
    except UserError as error:
        if error.where:
            raise
        raise NotDone(error.message) from error


@check("evaluator", "evaluate", gates=True)
def evaluates(part: Part) -> None:
    """It says what an `Evaluation` holds, keeps its promise, and leaves the trainer as it is"""
    try:
        promise = _look(part).promise()
        look, found = _first_look(part)
    except UserError as error:
        if error.where:
            raise
        raise NotDone(error.message) from error
    except AttributeError as error:
        raise _undeclared(part, error) from error
    check_promise(look.evaluator, promise, found)
    strange = look.read - {role for roles in (promise or {}).values() for role in roles}
    if promise is not None and found.scalars and strange:
        message = f"it reads the labels of '{min(strange)}', which its check does not name"
        help = ["check returns the roles whose labels each scalar is computed from"]
        raise Fault(message, help=help, where=place_in(part.target, "check"))


def _undeclared(part: Part, error: AttributeError) -> Exception:
    """A member of the trainer that the evaluator has not asked for."""
    name, owner = error.name or "", error.obj
    if not isinstance(owner, TrainerBase):
        return error
    able = next(
        (one for one in vars(capabilities).values() if is_capability(one) and name in members_of(one)), None
    )
    way = f"needs = ({able.__name__},) asks for it" if able else "a capability of your own can ask for it"
    return Fault(
        f"it reads trainer.{name}, and `needs` does not ask for it",
        help=[way],
        where=place_of_error(error, part),
    )


@check("evaluator", "finite")
def scalars_are_finite(part: Part) -> None:
    """Its scalars are finite"""
    _, found = _first_look(part)
    wrong = next((name for name, value in found.scalars.items() if not np.isfinite(value)), None)
    if wrong is not None:
        raise Fault(
            f"the scalar '{wrong}' is {found.scalars[wrong]}", where=place_in(part.target, "evaluate")
        )


@check("evaluator", "twice")
def says_the_same(part: Part) -> None:
    """It says the same of the same model, but for `seconds`, whatever it has looked at in between"""
    look, found = _first_look(part)
    other, before = _look(part, seed=5), _said(found)
    with places() as context:
        again = _said(look.evaluate(context.cache))
        if name := first_difference(before, again):
            message = f"it says another thing of the same model the second time: {name}"
            help = ["take random numbers from context.seed, or from the global generators, which have it too"]
            raise Fault(message, help=help, where=place_in(part.target, "evaluate"))
        other.evaluate(context.cache)
        if name := first_difference(before, _said(look.evaluate(context.cache))):
            message = f"what it says depends on the models that it has seen before: {name}"
            raise Fault(
                message,
                help=["keep nothing from one look to the next"],
                where=place_in(part.target, "evaluate"),
            )


def _said(found: Evaluation) -> dict[str, Any]:
    figures = {
        name: torch.from_numpy(np.array(f.array))
        for name, f in found.figures.items()
        if isinstance(f, Figure)
    }
    tables = {name: repr(vars(table)) for name, table in found.tables.items()}
    return {
        "scalars": {name: value for name, value in found.scalars.items() if not name.endswith("seconds")},
        "figures": figures,
        "tables": tables,
        "protocol": repr(found.protocol),
    }


@check("evaluator", "unlabeled")
def refuses_what_it_cannot_take(part: Part) -> None:
    """Of data without labels it says so before the training, or does without"""
    look = _look(part, labeled=False)
    with places() as context:
        try:
            look.promise()
            look.evaluate(context.cache)
        except UserError as error:
            if error.where:
                raise
        except Exception as error:
            message = f"it fails on data without labels: {type(error).__name__}: {error}"
            help = [
                "check(trainer, data) may raise UserError, before the training; `data[role][split].labeled`"
            ]
            raise Fault(message, help=help, where=place_of_error(error, part)) from error
