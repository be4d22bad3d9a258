"""Asking a trained model for images: of which classes, with which options, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import tomli_w
import torch
from torch import Tensor

from pluglab.components import Resolver, dump_options
from pluglab.data.batches import derived_seed, to_uint8
from pluglab.engine.evaluation import evaluating
from pluglab.errors import RecipeError, UserError, did_you_mean
from pluglab.plugins.registry import Registry
from pluglab.protocols import HasSampling, Samples
from pluglab.recipe.layers import Tree
from pluglab.recipe.positions import TomlSource, parse_toml


def classes_of(trainer: Any) -> int:
    """How many classes can be asked for: the trainer's `num_classes`, 0 for an unconditional model."""
    return int(getattr(trainer, "num_classes", 0) or 0)


def cycled(n: int, classes: int) -> Tensor | None:
    """Classes 0, 1, ... in turn, int64 n; None for an unconditional model."""
    return torch.arange(n) % classes if classes else None


def asked_for(words: str | None, n: int, names: Sequence[str]) -> Tensor | None:
    """The class of each of n images, int64 n: all in turn, or those listed, as in '3,7' or 'cat'.

    `names` are those of the classes, none for an unconditional model; a number counts them from 0. Raises
    `UserError` for a class that there is not.
    """
    if words is not None and not names:
        raise UserError("the model is unconditional: no class can be asked for", help=["leave --labels out"])
    if words is None or words == "balanced":
        return cycled(n, len(names))
    listed = torch.tensor([_class_number(word.strip(), names) for word in words.split(",")])
    return listed[torch.arange(n) % len(listed)]


def _class_number(word: str, names: Sequence[str]) -> int:
    if word in names:
        return list(names).index(word)
    if word.isdecimal() and int(word) < len(names):
        return int(word)
    help = [did_you_mean(word, names), f"classes: {', '.join(names)}", "or write 'balanced'"]
    raise UserError(f"--labels: there is no class '{word}'", help=filter(None, help))


def set_options(trainer: Any, name: str, changes: Sequence[TomlSource], registry: Registry) -> None:
    """Put changes on top of the trainer's sampling options.

    Raises `RecipeError` with all that is wrong with them, `UserError` for a trainer that has no options.
    """
    if not changes:
        return
    if not isinstance(trainer, HasSampling):
        message = f"trainer '{name}' has no options of sampling"
        raise UserError(message, help=[f"leave out: {', '.join(change.name for change in changes)}"])
    tree = Tree()
    for source in (_as_source(trainer.sampling), *changes):
        tree.overlay(source.data, source)
    resolver = Resolver(registry, droppable=lambda path: path in tree.soft)
    options = resolver.options(type(trainer.sampling), tree.data, (), f"sampling from '{name}'")
    if options is None:
        raise RecipeError([tree.problem(issue, "the options of sampling") for issue in resolver.issues])
    trainer.sampling = options


def _as_source(options: Any) -> TomlSource:
    return parse_toml(tomli_w.dumps(dump_options(options)), "the run")


def drawn(
    trainer: Samples, n: int, labels: Tensor | None, seed: int, batch_size: int, device: torch.device
) -> Iterator[Tensor]:
    """n images in batches, uint8 on the CPU. A batch is a function of the seed, its place and its size."""
    for start in range(0, n, batch_size):
        count = min(batch_size, n - start)
        asked = None if labels is None else labels[start : start + count].to(device)
        generator = torch.Generator(device).manual_seed(derived_seed("sample", seed, start))
        with evaluating(trainer, derived_seed("global", seed, start)):
            images = trainer.sample(count, asked, generator)
        yield to_uint8(images).cpu()
