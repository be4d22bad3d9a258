"""What a run keeps count of: the means of its losses, the seconds of its work, what looks wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

_NUMBER = re.compile(r"\d+(\.\d+)?(e[-+]?\d+)?")


@dataclass
class Meter:
    """Sums of the logged scalars, kept on the device until they are fetched."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, logs: Mapping[str, Tensor]) -> None:
        for name, value in logs.items():
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The means so far: the one point at which the device is waited for."""
        if not self.sums:
            return {}
        values = torch.stack(list(self.sums.values())).tolist()
        return {name: value / self.counts[name] for name, value in zip(self.sums, values, strict=True)}

    def reset(self) -> None:
        self.sums.clear()
        self.counts.clear()


@dataclass
class Clock:
    """Seconds spent on each kind of work, over all the sessions of a run."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def spent(self, on: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[on] = self.seconds.get(on, 0.0) + time.perf_counter() - start


class Health:
    """What a trainer says is wrong, passed on when it appears and not while it lasts.

    `active` holds the findings of the last look, numbers aside: these change from one to the next.
    """

    def __init__(self, active: Iterable[str] = ()) -> None:
        self.active = set(active)

    def new_findings(self, findings: Iterable[str]) -> list[str]:
        """Those that the last look did not have: new ones, and such as had gone and are back."""
        found = {_NUMBER.sub("", message): message for message in findings}
        new = [message for finding, message in found.items() if finding not in self.active]
        self.active = set(found)
        return new
