"""What a trainer can do besides training. Importing this imports no torch.

Capabilities join any evaluator to any trainer: an evaluator names those that it `needs`, a trainer has one by
having its members. A new one is a protocol with the decorator `capability`, in any package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

C = TypeVar("C", bound=type)
# Not an attribute of the protocol: `isinstance` in Python 3.11 would ask every trainer for it too.
_words: dict[type, str] = {}


def capability(words: str) -> Callable[[C], C]:
    """Declares a protocol as a capability. `words` complete "a trainer that can ...", as in "embed images".

    Methods and attributes are what a trainer must have. An attribute counts where the trainer's class has it,
    annotates it, or names the capability in a tuple `provides`.
    """

    def mark(protocol: C) -> C:
        _words[protocol] = words
        return runtime_checkable(protocol)

    return mark


def is_capability(value: object) -> bool:
    return isinstance(value, type) and value in _words


def words_of(wanted: type) -> str:
    """What a trainer that has the capability can do."""
    return _words[wanted]


def members_of(wanted: type) -> tuple[str, ...]:
    """The names of the methods and attributes that make it so."""
    named = (base for base in reversed(wanted.__mro__) if is_capability(base))
    found = [name for base in named for name in (*annotations_of(base), *vars(base))]
    return tuple(dict.fromkeys(name for name in found if not name.startswith("_")))


def annotations_of(owner: type) -> set[str]:
    """The names that a class itself annotates."""
    return set(inspect.get_annotations(owner))


def can(trainer: object, wanted: type) -> bool:
    """Whether a trainer, or trainers of this class, have the capability."""
    return not lacks(trainer, wanted)


def lacks(trainer: object, wanted: type) -> list[str]:
    """The members of a capability that a trainer, or a trainer's class, does not have."""
    missing = [name for name in members_of(wanted) if getattr(trainer, name, None) is None]
    if not isinstance(trainer, type):
        return missing
    if wanted in getattr(trainer, "provides", ()):
        return []
    annotated = {name for base in trainer.__mro__ for name in annotations_of(base)}
    return [name for name in missing if name not in annotated]


@capability("classify images")
class Classifies(Protocol):
    def predict(self, images: Tensor, role: str) -> Tensor:
        """Class logits N x K for images of that role."""
        ...


@capability("embed images")
class Embeds(Protocol):
    def embed(self, images: Tensor, role: str) -> Tensor:
        """Features N x F for images of that role."""
        ...


@capability("classify its own features")
class ClassifiesFeatures(Classifies, Embeds, Protocol):
    def predict_features(self, features: Tensor, role: str) -> Tensor:
        """The logits N x K that `predict` has for the images whose `embed` these features N x F are."""
        ...


@capability("sample images")
class Samples(Protocol):
    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """n images, float in [-1, 1]; `labels` int64 n for a class-conditional model.

        Such a model has an attribute `num_classes`, how many classes can be asked for.
        """
        ...


@capability("sample images of a class asked for")
class SamplesClasses(Samples, Protocol):
    @property
    def num_classes(self) -> int:
        """How many classes can be asked for; 0: none, as the trainer was made."""
        ...


@capability("sample with other options")
class HasSampling(Protocol):
    sampling: Any
    """Validated options of sampling, such as the number of steps: replaced as a whole to sample otherwise.

    A trainer that has to refuse some does so when they are set (a property) or when it samples: `UserError`.
    """


@capability("turn latents into images")
class Generates(Protocol):
    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """n latents, N x ...; Gaussian, or whatever the model was trained with."""
        ...

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Their images, float in [-1, 1]; `labels` int64 n for a class-conditional model."""
        ...


@capability("reconstruct images")
class Reconstructs(Protocol):
    def reconstruct(self, images: Tensor, role: str) -> Tensor | Mapping[str, Tensor]:
        """Reconstructions in [-1, 1], N x C x H x W; or several kinds of them by name."""
        ...


@capability("translate images")
class Translates(Protocol):
    @property
    def translations(self) -> tuple[tuple[str, str], ...]:
        """Pairs of roles, from and to, that it translates between: an attribute of the class."""
        ...

    def translate(self, images: Tensor, role: str, to: str) -> Tensor:
        """Images of `role` as images of the role `to`: float in [-1, 1], of the shape of those of `to`."""
        ...


@capability("trace a reverse process")
class Traces(Protocol):
    def trajectory(self, n: int, labels: Tensor | None, generator: torch.Generator, frames: int) -> Any:
        """(times, images): frames x n x C x H x W at evenly spaced times."""
        ...


@capability("say what is wrong with its training")
class Diagnoses(Protocol):
    def diagnose(self, scalars: Mapping[str, float]) -> Sequence[str]:
        """What the means just logged say is wrong: a line each, with the usual remedies; mostly none.

        A line is passed on when it appears, and again when it is back after having gone. Lines that differ
        in their numbers only are one.
        """
        ...


@capability("list its networks")
class HasNetworks(Protocol):
    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Each network with example inputs, for `lab describe` and `lab export`."""
        ...


def of(trainer: type) -> tuple[type, ...]:
    """The capabilities that trainers of this class have."""
    return tuple(wanted for wanted in _words if can(trainer, wanted))


def in_words(found: Collection[type]) -> list[str]:
    """What a trainer with these capabilities can do; what follows from another of them is left out."""
    implied = {base for wanted in found for base in wanted.__mro__[1:]}
    words = [words for wanted, words in _words.items() if wanted in found and wanted not in implied]
    return list(dict.fromkeys(words))
