"""What evaluators are written with: roles and splits, rows of them, samples, noise. Needs no other plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pluglab.capabilities import Classifies, ClassifiesFeatures, Embeds, Samples, can
from pluglab.components import Options
from pluglab.errors import UserError, did_you_mean
from pluglab.protocols import EvaluationContext, EvaluationData
from pluglab.protocols import RoleData as RoleData
from pluglab.seeds import derived_seed

PASS = 200  # images a forward pass: activations of more leave a CPU's caches, which costs a quarter
LIMIT = 2**28  # bytes

# Roles and splits ----------------------------------------------------------------------------------


def select_splits(data: RoleData, roles: Sequence[str] | None, split: str) -> list[EvaluationData]:
    """That split of the roles, or of all. Raises `UserError` for a role or split that there is not."""
    for role in roles or ():
        if role not in data:
            help = filter(None, [did_you_mean(role, data), f"the recipe's roles: {', '.join(data)}"])
            raise UserError(f"there is no role '{role}' to evaluate", help=help)
    return [data[role][split] for role in (roles or data)]


def reference_split(data: RoleData, role: str | None, split: str, evaluator: str) -> EvaluationData:
    """The real images that generated ones are held against: the only role's, unless one is named."""
    if role is None and len(data) > 1:
        raise UserError(
            f"which of the roles {', '.join(data)} do generated images imitate?",
            help=[f"name it: `role = ...` of the evaluator '{evaluator}'"],
        )
    return select_splits(data, [role] if role else None, split)[0]


def class_names(data: RoleData) -> tuple[str, ...] | None:
    """The names of the classes of the first role that has any."""
    specs = (next(iter(splits.values())).spec for splits in data.values())
    return next((spec.classes for spec in specs if spec.classes), None)


# Rows ----------------------------------------------------------------------------------------------


def sample_rows(data: EvaluationData, count: int, seed: int, purpose: str = "pick") -> Tensor:
    """`count` rising row numbers (or all), spread over the split; a function of the other arguments."""
    generator = torch.Generator().manual_seed(derived_seed(purpose, seed, data.role, data.split))
    return torch.randperm(data.spec.count, generator=generator)[:count].sort().values


def batches_at(data: EvaluationData, index: Tensor, size: int = 500) -> Iterator[Tensor]:
    """The images at these rising row numbers, float in [-1, 1], a part at a time, in order."""
    if rows := getattr(type(data), "rows", None):  # the engine's own; what wraps it has other images
        yield from (rows(data, part) for part in index.split(size))
        return
    limit = int(index[-1]) + 1
    parts = zip(range(0, limit, size), data.batches(size, limit), strict=True)
    within = ((part, index[(index >= start) & (index < start + len(part))] - start) for start, part in parts)
    yield from (part[rows.to(part.device)] for part, rows in within)


def images_at(data: EvaluationData, index: Tensor, size: int = 500) -> Tensor:
    """The same in one piece."""
    return torch.cat(list(batches_at(data, index, size)))


# What a trainer makes of images ----------------------------------------------------------------------


def embed(trainer: Embeds, data: EvaluationData, index: Tensor, size: int = PASS) -> Tensor:
    """Features of the images at these row numbers, float32 N x F on the CPU.

    Evaluators that look at one model share them: no image goes through the networks twice.
    """
    return _outputs(trainer, data, index, size, "embed").float()


def predict(trainer: Classifies, data: EvaluationData, index: Tensor, size: int = PASS) -> Tensor:
    """Class logits of the images at these row numbers, float32 N x K on the CPU; shared in the same way.

    A trainer that classifies its own features (`ClassifiesFeatures`) sees each image once for both.
    """
    shared = _shared.get()
    if shared is None or not shared.knows(trainer, data) or not _classifies_features(trainer):
        return _outputs(trainer, data, index, size, "predict").float()
    features = _outputs(cast(Embeds, trainer), data, index, size, "embed").split(size)
    able = cast(ClassifiesFeatures, trainer)
    found = (able.predict_features(part.to(shared.device), data.role) for part in features)
    return torch.cat([part.float().cpu() for part in found])


@contextmanager
def sharing(trainer: object, device: torch.device, kind: type, state: Callable[[], object]) -> Iterator[None]:
    """Within it `embed` and `predict` keep what `trainer` makes of data of the class `kind`.

    `state` is asked at every call for what else the outputs depend on: weights, statistics, modes.
    """
    token = _shared.set(_Shared(trainer, device, kind, state))
    try:
        yield
    finally:
        _shared.reset(token)


class _Shared:
    """Outputs of one trainer by what they depend on, `LIMIT` bytes of them at most."""

    def __init__(
        self, trainer: object, device: torch.device, kind: type, state: Callable[[], object]
    ) -> None:
        self.trainer, self.device, self.kind, self.state = trainer, device, kind, state
        self._kept: dict[object, _Rows] = {}

    def knows(self, trainer: object, data: object) -> bool:
        """Not another trainer or other data that an evaluator has made, nor where gradients are wanted."""
        return trainer is self.trainer and type(data) is self.kind and not torch.is_grad_enabled()

    def rows(self, key: object, count: int, index: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Those that are kept, and the others made and kept."""
        known = self._kept.setdefault((self.state(), key), _Rows(count))
        missing = known.missing(index)
        if len(missing):
            before = _random_states()
            made = make(missing)
            drawn = not all(map(torch.equal, before, _random_states()))
            if drawn or self._bytes() + made.nbytes > LIMIT:  # noise is not for others to share
                return made if len(missing) == len(index) else make(index)
            known.add(missing, made)
        return known.at(index)

    def _bytes(self) -> int:
        return sum(rows.values.nbytes for rows in self._kept.values())


class _Rows:
    """Rows of outputs, N at most, of which some are known."""

    def __init__(self, count: int) -> None:
        self._place = torch.full((count,), -1)
        self.values = torch.empty(0)

    def missing(self, index: Tensor) -> Tensor:
        return index[self._place[index] < 0]

    def add(self, index: Tensor, values: Tensor) -> None:
        known = len(self.values)
        self._place[index] = torch.arange(known, known + len(index))
        self.values = torch.cat([self.values, values]) if known else values

    def at(self, index: Tensor) -> Tensor:
        return self.values[self._place[index]]


_shared: ContextVar[_Shared | None] = ContextVar("shared", default=None)


def _outputs(
    trainer: Embeds | Classifies, data: EvaluationData, index: Tensor, size: int, method: str
) -> Tensor:
    call = getattr(trainer, method)

    def make(rows: Tensor) -> Tensor:
        parts = (part for part in batches_at(data, rows, size) if len(part))
        return torch.cat([call(part, data.role).flatten(1).cpu() for part in parts])

    shared = _shared.get()
    if shared is None or not shared.knows(trainer, data):
        return make(index)
    return shared.rows((method, data.role, data.split), data.spec.count, index, make)


def _classifies_features(trainer: object) -> bool:
    """Whether it says how, and no class below that one says otherwise how it predicts or embeds."""
    if not can(trainer, ClassifiesFeatures) or {"predict", "embed"} & vars(trainer).keys():
        return False
    owner = {
        name: next(i for i, base in enumerate(type(trainer).__mro__) if name in vars(base))
        for name in ("predict", "embed", "predict_features")
    }
    return owner["predict_features"] == min(owner.values())


def _random_states() -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [])]


# Samples -------------------------------------------------------------------------------------------


class ReferenceOptions(Options):
    """Options of what holds generated images against real ones."""

    role: str | None = None
    """Role that the real images come from; the only one by default."""
    split: str = "train"
    """Split that the real images come from; papers take the training images."""
    batch_size: int = Field(100, ge=1)
    """Images a forward pass."""


def classes_of(trainer: Any) -> int:
    """How many classes can be asked for: the trainer's `num_classes`, 0 for an unconditional model."""
    return int(getattr(trainer, "num_classes", 0) or 0)


def cycle_labels(n: int, classes: int) -> Tensor | None:
    """Classes 0, 1, ... in turn, int64 n; None for an unconditional model."""
    return torch.arange(n) % classes if classes else None


def labels_like(trainer: Samples, real: EvaluationData, n: int, seed: int) -> Tensor | None:
    """n classes to ask for, as frequent as among the real images; None for an unconditional model."""
    classes = classes_of(trainer)
    if not classes:
        return None
    generator = torch.Generator().manual_seed(derived_seed("classes", seed))
    if not real.labeled:
        return torch.randint(classes, (n,), generator=generator)
    return real.labels[torch.randint(len(real.labels), (n,), generator=generator)]


def noise(context: EvaluationContext) -> torch.Generator:
    """The noise of the run's seed on the evaluation's device; see `noise_of`."""
    return noise_of(context.run_seed, context.device)


def noise_of(seed: int, device: torch.device) -> torch.Generator:
    """The one stream of noise that images of a seed are made from, a batch after the other.

    Whoever makes images begins it anew, be it for a picture, a score or `lab sample`. The same seed, batch
    size and classes give the same images, so what was scored can be drawn again.
    """
    # As this evaluator drew it before there was one rule, so that its scores keep their values.
    own = derived_seed("evaluation", seed, "generation_quality")
    return torch.Generator(device).manual_seed(derived_seed("noise", own, "generation_quality"))


def sample_batches(
    trainer: Samples, n: int, labels: Tensor | None, generator: torch.Generator, batch_size: int
) -> Iterator[Tensor]:
    """n images in batches, float in [-1, 1]."""
    for start in range(0, n, batch_size):
        count = min(batch_size, n - start)
        asked = None if labels is None else labels[start : start + count].to(generator.device)
        yield trainer.sample(count, asked, generator)


def require_finite(values: np.ndarray | Tensor, so: str, what: str = "features") -> None:
    """Raises `UserError` where some values are NaN or infinite; `so` says what cannot be done with them.

    Libraries end in other ways, some of them the whole process.
    """
    if not torch.as_tensor(values).isfinite().all():
        raise UserError(
            f"some {what} are NaN or infinite, so {so}",
            help=["training has diverged: lower the learning rate, or look at `learning_curves`"],
        )
