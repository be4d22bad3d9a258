"""What a parameter of a sweep may be: a range, or one of several values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Number = int | float


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: whole ones where all that is given is whole."""

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.is_whole:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(float(self.low), float(self.high), self.log, self.step)

    @property
    def is_whole(self) -> bool:
        return all(isinstance(one, int) for one in (self.low, self.high, self.step or 0))

    def value(self, chosen: Any) -> Any:
        return chosen

    def ends(self) -> list[Any]:
        """Values that stand for all."""
        return [self.low, self.high] if self.is_whole else [float(self.low), float(self.high)]

    def all(self) -> list[Any]:
        """Every value; empty where they cannot be counted."""
        if self.step is None and not self.is_whole:
            return []
        step = self.step or 1
        steps = takewhile(lambda one: one <= self.high + 1e-9 * step, (self.low + step * i for i in count()))
        return list(steps)

    def words(self) -> str:
        """For people."""
        more = f", step {self.step}" if self.step else ""
        return f"{self.low} to {self.high}{more}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Choices:
    """One of several values, each under a name that the sampler knows it by."""

    named: Mapping[Any, Any]

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(list(self.named))

    def value(self, chosen: Any) -> Any:
        return self.named[chosen]

    def ends(self) -> list[Any]:
        return list(self.named.values())

    def all(self) -> list[Any]:
        return list(self.named)

    def words(self) -> str:
        return ", ".join(map(str, self.named))


Parameter = Range | Choices


def parameter(key: str, value: Any) -> Parameter | None:
    """What a recipe says of a parameter; None where that is a table of further ones.

    Raises `ValueError` for one that is wrong.
    """
    if isinstance(value, list):
        return _choices(key, value)
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get("choices"), (list, Mapping)):
        _only(key, value, "choices")
        return _choices(key, value["choices"])
    if _is_number(value.get("low")) or _is_number(value.get("high")):
        _only(key, value, "low", "high", "log", "step")
        return _range(key, value)
    return None


def _range(key: str, value: Mapping[str, Any]) -> Range:
    if not _is_number(value.get("low")) or not _is_number(value.get("high")):
        raise ValueError(f"should give '{key}' both `low` and `high`")
    found = Range(value["low"], value["high"], bool(value.get("log", False)), value.get("step"))
    if not found.low <= found.high:
        raise ValueError(f"should give '{key}' a `low` that is not above its `high`")
    if found.log and (found.low <= 0 or found.step is not None):
        raise ValueError(f"should give '{key}' a `low` above 0 and no `step`, as it is `log`")
    if found.step is not None and not (_is_number(found.step) and found.step > 0):
        raise ValueError(f"should give '{key}' a `step` above 0")
    return found


def _choices(key: str, values: list[Any] | Mapping[str, Any]) -> Choices:
    pairs = list(values.items()) if isinstance(values, Mapping) else [(_name(one), one) for one in values]
    if len(dict(pairs)) < max(1, len(pairs)):
        raise ValueError(f"should give '{key}' values that differ, at least one")
    return Choices(dict(pairs))


def _name(value: Any) -> Any:
    """What the sampler calls a value: itself, the name of a component, or how it is written."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("name"), str) and len(value) == 1:
        return value["name"]
    return json.dumps(value, default=str)


def _only(key: str, value: Mapping[str, Any], *known: str) -> None:
    if strange := [name for name in value if name not in known]:
        raise ValueError(f"should give '{key}' {', '.join(known)}, and no '{strange[0]}'")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
