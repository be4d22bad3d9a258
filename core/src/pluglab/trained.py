"""Trained models out of their run folders, to be used without their training, mostly without their data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w
import torch
from torch import Tensor, nn

from pluglab.capabilities import (
    Classifies,
    Embeds,
    HasNetworks,
    HasSampling,
    Reconstructs,
    Samples,
    Translates,
    can,
)
from pluglab.components import dump_options
from pluglab.data.batches import transformed
from pluglab.data.run_data import DatasetCache, RunData
from pluglab.engine.engine import check_identity
from pluglab.engine.evaluation import lacking
from pluglab.engine.hardware import LabFabric
from pluglab.engine.untouched import evaluating
from pluglab.errors import RecipeError, UserError, did_you_mean
from pluglab.evaluating import classes_of, cycle_labels, noise_of
from pluglab.experiments.experiment import UNCHANGED, Changes, hashes_of, reread, untimely
from pluglab.experiments.session import Session
from pluglab.figures import html_image, image_grid
from pluglab.images import ImageSpec, to_float, to_uint8
from pluglab.plugins.registry import Registry
from pluglab.recipe.layers import Tree
from pluglab.recipe.positions import TomlSource, parse_toml
from pluglab.recipe.recipe import Recipe
from pluglab.recipe.resolve import Resolver
from pluglab.seeds import derived_seed
from pluglab.storage.checkpoints import Checkpoints
from pluglab.storage.run_folder import RunFolder, run_folders
from pluglab.training.ema import EMA
from pluglab.training.trainer import modules_of, plain_module, set_mode

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = 32  # images of a model's picture in a notebook
BATCH = 100


@dataclass(frozen=True)
class TrainedModel:
    """A trainer as it was after `step` steps, in evaluation mode. `specs`: what each role's images are.

    Images go in and come out as uint8 N x C x H x W on the CPU; what a model can do is what its trainer can.
    """

    run: RunFolder
    recipe: Recipe
    trainer: Any
    specs: dict[str, ImageSpec]
    step: int
    fabric: LabFabric
    registry: Registry

    def __repr__(self) -> str:
        return f"<{self.name} after {self.step:,} steps, {self.run.path}>"

    @property
    def name(self) -> str:
        """The name of the trainer."""
        return self.recipe.options.trainer.name

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.run.path

    @property
    def options(self) -> dict[str, Any]:
        """The run's resolved recipe: every option, defaults included."""
        return self.recipe.to_dict()

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says: identity, data and their hashes, versions, plugins."""
        return self.run.read()

    @property
    def results(self) -> dict[str, Any]:
        """What results.json says; empty before there are results."""
        return self.run.results()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that it predicts, or that can be asked for; () where it knows none."""
        if self.classes_to_ask:
            return self.classes_to_ask
        named = [spec.classes for spec in self.specs.values() if spec.classes]
        return named[0] if named and self.can(Classifies) else ()

    @property
    def classes_to_ask(self) -> tuple[str, ...]:
        """The names of the classes that can be asked for; their numbers where the data has no names."""
        count = classes_of(self.trainer)
        known = (spec.classes for spec in self.specs.values() if spec.classes and spec.num_classes == count)
        return next(known, tuple(map(str, range(count))))

    def sample(
        self,
        n: int = 16,
        labels: Sequence[int | str] | Tensor | None = None,
        *,
        seed: int = 0,
        batch_size: int = BATCH,
        **options: Any,
    ) -> Tensor:
        """n images, uint8 n x C x H x W; of these classes, by number or name, or of all in turn.

        `options` are options of sampling for this call, such as `steps=25`. The same seed, n and batch size
        give the same images. Raises `UserError` for what cannot be asked of the model.
        """
        if labels is not None and len(labels) != n:
            raise UserError(f"there are {len(labels)} labels for {n} images")
        asked = cycle_labels(n, len(self.classes_to_ask)) if labels is None else self._numbers(labels)
        with self._sampling_as(options):
            return torch.cat(list(self.sample_batches(n, asked, seed, batch_size)))

    def _numbers(self, labels: Sequence[int | str] | Tensor) -> Tensor:
        values = labels.tolist() if isinstance(labels, Tensor) else labels
        return torch.tensor([class_number(value, self.classes_to_ask) for value in values])

    def _sampling_as(self, options: Mapping[str, Any]) -> AbstractContextManager[None]:
        source = parse_toml(tomli_w.dumps(dict(options)), "the options of sample()")
        return sampling_as(self.trainer, self.name, [source] if options else [], self.registry)

    def sample_batches(
        self, n: int, labels: Tensor | None, seed: int = 0, batch_size: int = BATCH
    ) -> Iterator[Tensor]:
        """The same in batches, from the noise that evaluations of that seed take; see `noise_of`."""
        self.require(Samples)
        device = self.fabric.device
        generator = noise_of(seed, device)
        for start in range(0, n, batch_size):
            count = min(batch_size, n - start)
            asked = None if labels is None else labels[start : start + count].to(device)
            with evaluating(self.trainer, derived_seed("global", seed, start)):
                images = self.trainer.sample(count, asked, generator)
            yield to_uint8(images).cpu()

    def predict(self, images: Tensor | np.ndarray, role: str | None = None) -> Tensor:
        """Class probabilities N x K of images that are like those of a role."""
        self.require(Classifies)
        chosen = self.role(role)
        return self._each(images, chosen, lambda x: self.trainer.predict(x, chosen).float().softmax(1))

    def embed(self, images: Tensor | np.ndarray, role: str | None = None) -> Tensor:
        """Features N x F of images that are like those of a role."""
        self.require(Embeds)
        chosen = self.role(role)
        return self._each(images, chosen, lambda x: self.trainer.embed(x, chosen).flatten(1).float())

    def reconstruct(self, images: Tensor | np.ndarray, role: str | None = None) -> dict[str, Tensor]:
        """Reconstructions, uint8 N x C x H x W, of each kind that the model makes, by name."""
        self.require(Reconstructs)
        chosen, kinds = self.role(role), dict[str, list[Tensor]]()
        for part in self._inputs(images, chosen):
            with evaluating(self.trainer, seed=0):
                made = self.trainer.reconstruct(part, chosen)
            for kind, value in (made if isinstance(made, Mapping) else {"reconstruction": made}).items():
                kinds.setdefault(kind, []).append(to_uint8(value).cpu())
        return {kind: torch.cat(parts) for kind, parts in kinds.items()}

    def translate(self, images: Tensor | np.ndarray, role: str | None = None, to: str = "") -> Tensor:
        """Images like those of `role` as images of the role `to`, uint8 N x C x H x W.

        Without names the first translation is taken that the trainer has of these.
        """
        self.require(Translates)
        known = tuple(self.trainer.translations)
        pair = next((one for one in known if role in (None, one[0]) and to in ("", one[1])), None)
        if pair is None:
            ways = ", ".join(f"{one} to {other}" for one, other in known)
            raise UserError(f"'{self.name}' does not translate so", help=[f"it translates {ways}"])
        return self._each(images, pair[0], lambda x: to_uint8(self.trainer.translate(x, *pair)))

    def modules(self) -> dict[str, nn.Module]:
        """The networks that the trainer holds, out of Fabric's wrappers, by the names that `init` knows."""
        return {name: plain_module(module) for name, module in modules_of(self.trainer).items()}

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Each network with example inputs, on its device and in evaluation mode.

        An average of weights that the model samples from stands in the place of its network.
        """
        averages = {
            id(one.source): one.network for one in vars(self.trainer).values() if isinstance(one, EMA)
        }
        listed: Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]] = (
            self.trainer.networks() if can(type(self.trainer), HasNetworks) else {}
        )
        modules = {**{name: (module, ()) for name, module in self.modules().items()}, **listed}
        bare = {name: (plain_module(module), inputs) for name, (module, inputs) in modules.items()}
        return {name: (averages.get(id(module), module), inputs) for name, (module, inputs) in bare.items()}

    def can(self, wanted: type) -> bool:
        return can(type(self.trainer), wanted)

    def require(self, wanted: type) -> None:
        """Raises `UserError` where the trainer lacks a capability."""
        if not self.can(wanted):
            message, help = lacking(self.recipe, wanted, "this call")
            raise UserError(message, help=[help])

    def role(self, asked: str | None) -> str:
        """The role asked for, or the only one. Raises `UserError`."""
        roles = list(self.specs)
        if asked is None and len(roles) > 1:
            help = [f'write --role {role}, or role="{role}"' for role in roles]
            raise UserError(
                f"'{self.name}' reads {' and '.join(roles)}: which are the images like?", help=help
            )
        if asked is not None and asked not in roles:
            ways = filter(None, [did_you_mean(asked, roles), f"roles: {', '.join(roles)}"])
            raise UserError(f"'{self.name}' has no role '{asked}'", help=ways)
        return asked or roles[0]

    def _each(self, images: Tensor | np.ndarray, role: str, use: Callable[[Tensor], Tensor]) -> Tensor:
        found = []
        for part in self._inputs(images, role):
            with evaluating(self.trainer, seed=0):
                found.append(use(part).cpu())
        return torch.cat(found)

    def _inputs(self, images: Tensor | np.ndarray, role: str) -> Iterator[Tensor]:
        """Batches as the trainer sees them in an evaluation: on the device, after the role's transforms."""
        pixels = torch.as_tensor(images)
        spec = self.specs[role]
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or tuple(pixels.shape[1:]) != spec.shape:
            wanted = " x ".join(map(str, spec.shape))
            raise UserError(f"images must be uint8 N x {wanted}, got {pixels.dtype} {tuple(pixels.shape)}")
        built = (item.build() for item in self.recipe.data[role].transforms)
        transforms = [transform for transform in built if not transform.random]
        layout = torch.channels_last if self.fabric.hardware.channels_last else torch.contiguous_format
        for part in pixels.split(BATCH):
            yield transformed(to_float(part.to(self.fabric.device, memory_format=layout)), transforms, seed=0)

    def _repr_html_(self) -> str:
        """What a notebook shows: the run, and samples where the model makes some."""
        picture = self.picture()
        words = f"<b>{escape(self.name)}</b> after {self.step:,} steps, {escape(str(self.run.path))}"
        return f"<p>{words}</p>" + ("" if picture is None else html_image(picture))

    def picture(self) -> np.ndarray | None:
        """The first samples in a grid, uint8 H x W x 3; None of a model that makes none."""
        return image_grid(self.sample(SHOWN), 8, width=480) if self.can(Samples) else None


def load_model(
    folder: Path,
    session: Session,
    step: int | None = None,
    changes: Changes = UNCHANGED,
    wanted: type | None = None,
) -> TrainedModel:
    """The model of the run in `folder`: of the step, else the reported one, or the newest.

    Raises `UserError` where there is none, or where it lacks the capability that is wanted.
    """
    run = only_run(folder)
    before, recipe = reread(run, session.plugins.registry, changes)
    if before.training_digest() != recipe.training_digest():
        raise untimely(before, recipe)
    if wanted is not None and not can(recipe.options.trainer.target, wanted):
        message, help = lacking(recipe, wanted, "this command")
        raise UserError(message, help=[help])
    _, state = Checkpoints(run.checkpoints).find(run.reported_step() if step is None else step)
    check_identity(state, run.identities(), folder)
    fabric = session.launch(recipe.options.run.model_copy(update={"devices": 1}))
    specs = _specs(run, recipe, session)
    trainer = recipe.options.trainer.build(specs)
    trainer.setup(fabric)
    trainer.load_state_dict(state["trainer"])
    set_mode(trainer, "eval")
    return TrainedModel(run, recipe, trainer, specs, state["step"], fabric, session.plugins.registry)


def only_run(folder: Path) -> RunFolder:
    """The one run that a folder holds. Raises `UserError` for several."""
    runs = run_folders(folder)
    if len(runs) > 1:
        help = [f"give one of its runs: {', '.join(str(run.path) for run in runs)}"]
        raise UserError(f"{folder} holds {len(runs)} runs", help=help)
    return runs[0]


def _specs(run: RunFolder, recipe: Recipe, session: Session) -> dict[str, ImageSpec]:
    """As the run recorded them; one that did not is asked for its data."""
    recorded = run.read().get("specs")
    if recorded is None:
        return RunData(recipe, DatasetCache(session.context), hashes_of(run)).specs()
    return {role: ImageSpec(**{**spec, "classes": _names(spec)}) for role, spec in recorded.items()}


def _names(spec: Mapping[str, Any]) -> tuple[str, ...] | None:
    return None if spec["classes"] is None else tuple(spec["classes"])


# Asking for images -----------------------------------------------------------------------------------


def class_number(word: str | int, names: Sequence[str]) -> int:
    """The class of that name, or of that number, counted from 0. Raises `UserError` for one there is not.

    Where a class is called by a number, a text is a name only: '1' of the classes 1, 2, 3 is the first.
    """
    if word in names:
        return list(names).index(str(word))
    number = isinstance(word, int) or (word.isdecimal() and not any(name.isdecimal() for name in names))
    if number and 0 <= int(word) < len(names):
        return int(word)
    if not names:
        raise UserError("the model is unconditional: no class can be asked for", help=["ask for none"])
    help = [did_you_mean(str(word), names), f"classes: {', '.join(names)}"]
    raise UserError(f"there is no class '{word}'", help=filter(None, help))


@contextmanager
def sampling_as(trainer: Any, name: str, changes: Sequence[TomlSource], registry: Registry) -> Iterator[None]:
    """The trainer samples with these options on top of its own, inside.

    Raises `RecipeError` with all that is wrong with them, `UserError` for a trainer that has no options.
    """
    before = getattr(trainer, "sampling", None)
    if changes:
        trainer.sampling = resolve_sampling(trainer, name, changes, registry)
    try:
        yield
    finally:
        if changes:
            trainer.sampling = before


def resolve_sampling(trainer: Any, name: str, changes: Sequence[TomlSource], registry: Registry) -> Any:
    """The trainer's options of sampling with the changes on top, validated."""
    if not can(trainer, HasSampling):
        message = f"trainer '{name}' has no options of sampling"
        raise UserError(message, help=[f"leave out: {', '.join(change.name for change in changes)}"])
    tree = Tree()
    own = parse_toml(tomli_w.dumps(dump_options(trainer.sampling)), "the run")
    for source in (own, *changes):
        tree.overlay(source.data, source)
    resolver = Resolver(registry, may_drop=lambda path: path in tree.inherited)
    options = resolver.options(type(trainer.sampling), tree.data, (), f"sampling from '{name}'")
    if options is None:
        raise RecipeError([tree.located(one, "the options of sampling") for one in resolver.problems])
    return options
