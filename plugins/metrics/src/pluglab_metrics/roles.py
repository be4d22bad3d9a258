"""Which roles and which of their images an evaluator looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from pluglab.data import derived_seed
from pluglab.errors import UserError
from pluglab.protocols import Embeds, EvaluationData

RoleData = Mapping[str, Mapping[str, EvaluationData]]


def choose(data: RoleData, roles: Sequence[str] | None, split: str) -> list[EvaluationData]:
    """That split of the asked-for roles, or of all. Raises `UserError` for an unknown role or split."""
    for role in roles or ():
        if role not in data:
            raise UserError(f"no role '{role}' to evaluate", help=[f"the trainer's roles: {', '.join(data)}"])
        if split not in data[role]:
            known = ", ".join(data[role])
            raise UserError(f"role '{role}' has no split '{split}'", help=[f"its splits: {known}"])
    found = [data[role][split] for role in (roles or data) if split in data[role]]
    if not found:
        splits = sorted({name for parts in data.values() for name in parts})
        raise UserError(f"no role has a split '{split}'", help=[f"known splits: {', '.join(splits)}"])
    return found


def imitated(data: RoleData, role: str | None, split: str, evaluator: str) -> EvaluationData:
    """The real images that generated ones are held against: the only role's, unless one is named."""
    if role is None and len(data) > 1:
        raise UserError(
            f"which of the roles {', '.join(data)} do generated images imitate?",
            help=[f"name it: `role = ...` of the evaluator '{evaluator}'"],
        )
    return choose(data, [role] if role else None, split)[0]


def pick(data: EvaluationData, count: int, seed: int) -> Tensor:
    """`count` rising row numbers (or all), spread over the split: a function of seed, role and split."""
    generator = torch.Generator().manual_seed(derived_seed("pick", seed, data.role, data.split))
    return torch.randperm(data.spec.count, generator=generator)[:count].sort().values


def images_at(data: EvaluationData, index: Tensor, size: int = 500) -> Tensor:
    """The images at these rising row numbers, float in [-1, 1]."""
    return torch.cat(list(batches_at(data, index, size)))


def batches_at(data: EvaluationData, index: Tensor, size: int = 500) -> Iterator[Tensor]:
    """The same a part at a time, in order."""
    limit = int(index[-1]) + 1
    parts = zip(range(0, limit, size), data.batches(size, limit), strict=True)
    return (part[_within(index, start, len(part)).to(part.device)] for start, part in parts)


def _within(index: Tensor, start: int, length: int) -> Tensor:
    return index[(index >= start) & (index < start + length)] - start


def embed(trainer: Embeds, data: EvaluationData, index: Tensor) -> Tensor:
    """Features of the images at these row numbers, float32 N x F on the CPU."""
    parts = images_at(data, index).split(500)
    return torch.cat([trainer.embed(part, data.role).flatten(1).float().cpu() for part in parts])
