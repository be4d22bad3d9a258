"""Noising processes q(x_t | x_0) = N(alpha_t x_0, sigma_t^2 I).

A process is any pair (alpha_t, sigma_t), on integer levels (`DiscreteProcess`) or continuous ones
(`RectifiedFlow`, `VarianceExploding`). Samplers see it as a path of `Level`s.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pluglab.errors import UserError

MOST_IMAGE = 0.5  # share of the variance that is still image at the last level
SIGMA_MIN, SIGMA_MAX = 0.002, 80.0  # ends of sigma / alpha in Karras et al. 2022, table 1
RESOLUTION = 1000  # a denoiser is shown the levels of a continuous process as numbers in [0, RESOLUTION]
Spacing = float | Literal["karras"]


class Level(NamedTuple):
    """One noise level: `t` as its process counts, from 0 in a discrete one, where -1 is the clean image."""

    t: float
    alpha: float
    sigma: float

    @property
    def ratio(self) -> float:
        """sigma / alpha: what Karras et al. 2022 call sigma, for their images are not scaled."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    @property
    def log_snr(self) -> float:
        """lambda = log(alpha / sigma), half the logarithm of the signal-to-noise ratio."""
        if self.sigma == 0:
            return math.inf
        return math.log(self.alpha / self.sigma) if self.alpha > 0 else -math.inf


CLEAN = Level(-1, 1.0, 0.0)


class Path(list[Level]):
    """Falling levels that a sampler passes, the clean image last."""

    def __init__(self, levels: Iterable[Level], process: Process) -> None:
        super().__init__(levels)
        self.process = process

    def noisier(self, level: Level, share: float) -> Level:
        """The level of the process whose sigma / alpha is nearest to that of `level` times 1 + share."""
        process = self.process
        return process.level(process.time_of(level.ratio * (1 + share))) if share and level.alpha else level


class Process(ABC):
    """A noising process: its levels, which of them sampling visits, and what a denoiser is shown of them."""

    timesteps: int | None = None
    """How many levels there are; None: a continuum."""
    resolution: int = RESOLUTION
    """The T of the times in [0, T] that a denoiser is shown."""
    spacing: Spacing = 1.5
    """What `spacing = "auto"` stands for."""
    even: Spacing = 1.0
    """The spacing of the frames of a film."""

    @abstractmethod
    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma of levels N, each N x 1 x 1 x 1."""

    @abstractmethod
    def level(self, t: float) -> Level:
        """The level at a time."""

    @abstractmethod
    def shown(self, t: Tensor) -> Tensor:
        """Times N as a denoiser sees them."""

    @abstractmethod
    def share(self, t: float) -> float:
        """How far from the clean image a time is: 0 to 1, pure noise."""

    @abstractmethod
    def time_of(self, ratio: float) -> float:
        """The time whose sigma / alpha is `ratio`, or nearest to it."""

    @abstractmethod
    def evenly(self, steps: int, spacing: float) -> list[float]:
        """`steps` falling times from the last on, evenly spaced in t^(1 / spacing)."""

    @abstractmethod
    def ratios(self) -> tuple[float, float]:
        """Least and largest sigma / alpha of levels that sampling visits."""

    def first_noise(self, noise: Tensor, first: Level) -> Tensor:
        """What sampling starts from at that level, of standard normal noise."""
        return noise * first.sigma

    def picture(self, x: Tensor, level: Level) -> Tensor:
        """x_t, brought to unit variance for the eye."""
        return x / math.hypot(level.alpha, level.sigma)

    def clock(self, level: Level) -> float:
        """The time of a level as the papers count it: 0 is the clean image. For captions."""
        return float(f"{level.t:.3g}")

    def clean(self) -> Level:
        """The image without noise."""
        return Level(0.0, 1.0, 0.0)

    def to(self, device: torch.device) -> Process:
        """The same process for images on that device."""
        return self

    def times(self, steps: int, spacing: Spacing, rho: float = 7.0) -> list[float]:
        """`steps` falling times. Raises `UserError` where there are fewer levels."""
        if spacing != "karras":
            return self.evenly(steps, spacing)
        return [self.time_of(ratio) for ratio in karras(steps, rho, *self.ratios())]

    def path(self, times: Iterable[float]) -> Path:
        """The levels of falling times, and the clean image after the last."""
        return Path([*map(self.level, times), self.clean()], self)


class DiscreteProcess(Process):
    """The levels t = 0 to T - 1 of a noise schedule, which keeps the variance: alpha^2 + sigma^2 = 1 (Ho et
    al. 2020). alpha^2 is the papers' alpha_bar."""

    timesteps: int

    def __init__(self, alphas_cumprod: Tensor, device: torch.device | None = None) -> None:
        self.alphas_cumprod = alphas_cumprod
        self.timesteps = self.resolution = len(alphas_cumprod)
        self._alpha = alphas_cumprod.sqrt().float().to(device)
        self._sigma = (1 - alphas_cumprod).sqrt().float().to(device)
        self.snr = (alphas_cumprod / (1 - alphas_cumprod)).float().to(device)

    def to(self, device: torch.device) -> DiscreteProcess:
        return DiscreteProcess(self.alphas_cumprod, device)

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self._alpha[t].view(-1, 1, 1, 1), self._sigma[t].view(-1, 1, 1, 1)

    def level(self, t: float) -> Level:
        share = float(self.alphas_cumprod[int(t)])
        return Level(t, share**0.5, (1 - share) ** 0.5)

    def shown(self, t: Tensor) -> Tensor:
        return t

    def share(self, t: float) -> float:
        return (t + 1) / self.timesteps

    def time_of(self, ratio: float) -> int:
        found = ((1 - self.alphas_cumprod) / self.alphas_cumprod).log() / 2
        return int((found - math.log(ratio)).abs().argmin())

    def times(self, steps: int, spacing: Spacing, rho: float = 7.0) -> list[float]:
        """All different. With `spacing` 1 they are the trailing ones of Lin et al. 2023 (section 3.3), with 2
        the quadratic ones of Song et al. 2021 (appendix D.2), made to begin at the last level."""
        if steps > self.timesteps:
            raise UserError(
                f"{steps} sampling steps are more than the model's {self.timesteps} noise levels",
                help=[f"choose at most {self.timesteps} `steps`"],
            )
        falling = list[float]()
        for i, t in enumerate(super().times(steps, spacing, rho)):
            falling.append(max(min(t, falling[-1] - 1 if falling else t), steps - 1 - i))
        return falling

    def evenly(self, steps: int, spacing: float) -> list[float]:
        counted = (self.timesteps * ((steps - i) / steps) ** spacing for i in range(steps))
        return [math.floor(t + 0.5) - 1 for t in counted]

    def ratios(self) -> tuple[float, float]:
        return max(SIGMA_MIN, self.level(0).ratio), min(SIGMA_MAX, self.level(self.timesteps - 1).ratio)

    def first_noise(self, noise: Tensor, first: Level) -> Tensor:
        return noise

    def picture(self, x: Tensor, level: Level) -> Tensor:
        return x

    def clock(self, level: Level) -> float:
        return int(level.t) + 1

    def clean(self) -> Level:
        return CLEAN


class RectifiedFlow(Process):
    """x_t = (1 - t) x_0 + t noise, t in [0, 1] (Liu et al. 2023; Lipman et al. 2023, with time reversed)."""

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        t = t.view(-1, 1, 1, 1)
        return 1 - t, t

    def level(self, t: float) -> Level:
        return Level(t, 1 - t, t)

    def shown(self, t: Tensor) -> Tensor:
        return t * self.resolution

    def share(self, t: float) -> float:
        return t

    def time_of(self, ratio: float) -> float:
        return ratio / (1 + ratio)

    def evenly(self, steps: int, spacing: float) -> list[float]:
        return [((steps - i) / steps) ** spacing for i in range(steps)]

    def ratios(self) -> tuple[float, float]:
        return SIGMA_MIN, SIGMA_MAX


class VarianceExploding(Process):
    """x_t = x_0 + t noise: t is sigma, between `low` and `high` in sampling (Karras et al. 2022).

    A denoiser is shown c_noise = ln(sigma) / 4 of their table 1, stretched so that [low, high] becomes
    [0, 1000], which is what denoisers are made for.
    """

    spacing = even = "karras"

    def __init__(self, low: float = SIGMA_MIN, high: float = SIGMA_MAX) -> None:
        self.low, self.high = low, high

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        t = t.view(-1, 1, 1, 1)
        return torch.ones_like(t), t

    def level(self, t: float) -> Level:
        return Level(t, 1.0, t)

    def shown(self, t: Tensor) -> Tensor:
        return (t / self.low).log() / math.log(self.high / self.low) * self.resolution

    def share(self, t: float) -> float:
        return min(max(math.log(t / self.low) / math.log(self.high / self.low), 0.0), 1.0)

    def time_of(self, ratio: float) -> float:
        return ratio

    def evenly(self, steps: int, spacing: float) -> list[float]:
        return [self.high * ((steps - i) / steps) ** spacing for i in range(steps)]

    def ratios(self) -> tuple[float, float]:
        return self.low, self.high


def karras(steps: int, rho: float, low: float, high: float) -> list[float]:
    """Falling sigmas, evenly spaced in sigma^(1 / rho) from `high` to `low` (Karras et al. 2022, eq. 5)."""
    first, last = high ** (1 / rho), low ** (1 / rho)
    return [(first + i / max(1, steps - 1) * (last - first)) ** rho for i in range(steps)]


def check_levels(alphas_cumprod: Tensor, name: str) -> None:
    """Raises `UserError` for shares of the image, float N, that no noise schedule has; `name` made them."""
    found, wrong = alphas_cumprod.double(), ""
    if not found.isfinite().all():
        wrong = "some of its levels are no numbers"
    elif not (found[0] < 1 and found[-1] >= 0 and (found.diff() < 0).all()):
        wrong = "the share of the image must fall from below 1 at every level, down to 0 at the lowest"
    elif found[-1] > MOST_IMAGE:
        wrong = f"its last level is still {found[-1]:.0%} image, and sampling starts from pure noise there"
    if wrong:
        message = f"noise schedule '{name}' with these options and {len(found)} levels is none: {wrong}"
        raise UserError(
            message, help=[f"leave out options of '{name}', or see `lab show noise_schedule {name}`"]
        )
