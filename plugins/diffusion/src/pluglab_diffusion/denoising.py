"""What the trainers of this distribution share: a denoiser that learns classes, its average, and sampling."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Component, Reference, named, table
from pluglab.errors import UserError
from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab.training import EMA, EMAOptions, Fabric, TrainerBase, scale_lr
from pluglab_diffusion.autoguidance import guide_of
from pluglab_diffusion.denoisers import NO_CLASS
from pluglab_diffusion.prediction import Number, noised
from pluglab_diffusion.process import Level, Path, Process
from pluglab_diffusion.sampling import AddedNoise, Network, Sampling, away, guided

EDGE = 1e-6  # share of a normal distribution beyond which no level is drawn, 4.75 deviations out


class DenoisingOptions(EMAOptions):
    """Options of every trainer of a denoiser."""

    denoiser: Annotated[Component, Reference("denoiser")] = named("unet")
    """The network."""
    class_conditional: bool | Literal["auto"] = "auto"
    """Learn a model of each class; auto: where the data has classes."""
    label_drop: float = Field(0.1, ge=0, lt=1)
    """Probability that an image's label is not shown. With 0 the model of no class is never trained:
    there is nothing to guide away from."""
    optimizer: Annotated[Component, Reference("optimizer")] = named("adamw", lr=2e-3)
    """The optimizer."""
    schedule: Annotated[Component, Reference("schedule")] = named("one_cycle", warmup=0.1)
    """Learning-rate multiplier over training progress."""
    sampling: Sampling = table()
    """How images are drawn."""


class DenoisingTrainer(TrainerBase):
    """A network that learns to take noise away, at the levels of a noising process.

    A trainer says which process it is, which levels it draws, what the network predicts there, and which
    image a prediction stands for.
    """

    SamplingConfig = Sampling
    config: DenoisingOptions
    num_classes: int
    roles = (Role("train"),)
    meaning: ClassVar[tuple[str, ...]] = ()
    """Options that say what the network's output means, which a model and its guide must share."""
    guide: Network | None = None

    def __init__(self, config: DenoisingOptions, data: Mapping[str, ImageSpec], process: Process) -> None:
        self.config, self.spec, self.process = config, data["train"], process
        self.num_classes = classes_to_learn(config.class_conditional, self.spec)
        self.denoiser: nn.Module = config.denoiser.build(self.spec, self.num_classes, process.resolution)
        self.ema = EMA(self.denoiser, config)
        self.optimizer = config.optimizer.build(self.denoiser.parameters())
        self.schedule = config.schedule.build()
        self.sampling = config.sampling

    def setup(self, fabric: Fabric) -> None:
        super().setup(fabric)
        self.process = self.process.to(fabric.device)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.denoiser.parameters()).device

    # Training ---------------------------------------------------------------------------------------

    @abstractmethod
    def random_times(self, count: int) -> Tensor:
        """Levels N to be trained, by `spread_shares` evenly spread over what they are drawn from."""

    @abstractmethod
    def loss(self, output: Tensor, images: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The error of what the network predicts at levels t, a mean over all elements of all images."""

    @abstractmethod
    def image(self, output: Tensor, x: Tensor, level: Level) -> Tensor:
        """The clean image that the network's output at x stands for."""

    def seen(self, x: Tensor, sigma: Number) -> Tensor:
        """x_t as the network is shown it."""
        return x

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        images, labels = batch["train"].images, batch["train"].labels
        scale_lr(self.optimizer, progress.at(self.schedule))
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        t = self.random_times(len(images) * processes)[rank::processes]  # spread over the whole batch
        noise = torch.randn_like(images)
        alpha, sigma = self.process.at(t)
        x = self.seen(noised(images, noise, alpha, sigma), sigma)
        output = self.denoiser(x, self.process.shown(t), self.shown(labels, t))
        loss = self.loss(output, images, noise, t)
        self.update(self.optimizer, loss)
        self.ema.update(progress.step, len(images) * self.fabric.world_size)
        return {"loss/denoising": loss.detach()}

    def shown(self, labels: Tensor | None, t: Tensor) -> Tensor:
        """The labels that the network is shown; each is left out with the same probability, by itself."""
        if not self.num_classes:
            return torch.full(t.shape, NO_CLASS, device=t.device)
        if labels is None:
            raise UserError("the data has classes but no labels", help=["set class_conditional = false"])
        return labels.masked_fill(torch.rand(len(t), device=t.device) < self.config.label_drop, NO_CLASS)

    # Sampling ---------------------------------------------------------------------------------------

    @property
    def sampling(self) -> Sampling:
        """How images are drawn. Raises `UserError`, when set, for what this model cannot do."""
        return self._sampling

    @sampling.setter
    def sampling(self, sampling: Sampling) -> None:
        self.path(sampling)
        self.guidance(sampling)
        self.guide = guide_of(sampling.guide, self) if sampling.guide else None
        self._sampling = sampling

    def path(self, sampling: Sampling) -> Path:
        """The levels that sampling passes."""
        spacing = self.process.spacing if sampling.spacing == "auto" else sampling.spacing
        return self.process.path(self.process.times(sampling.steps, spacing, sampling.rho))

    def guidance(self, sampling: Sampling) -> float:
        """The weight w. Raises `UserError` for guidance that this model has not been trained for."""
        trained = bool(sampling.guide or (self.num_classes and self.config.label_drop))
        return sampling.weight(classes=self.num_classes > 0, guided=trained)

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """n images, float in [-1, 1]; without labels a class-conditional model chooses the class itself. The
        first of them are the same for any n."""
        return self.generate(self.latents(n, generator), labels)

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise, n x C x H x W, drawn image by image."""
        empty = torch.empty(n, *self.spec.shape, device=generator.device)
        for image in empty:
            image.normal_(generator=generator)
        return empty

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """The images of these latents, a part at a time; an image is a function of its own latents and class,
        also of a sampler that adds noise."""
        path, asked = self.path(self.sampling), self.asked(labels, len(latents))
        size = self.sampling.batch_size
        parts = zip(latents.split(size), asked.split(size), strict=True)
        ends = (deque(self.states(noise, wanted, path), maxlen=1) for noise, wanted in parts)
        return torch.cat([end.pop() for end in ends])

    def trajectory(
        self, n: int, labels: Tensor | None, generator: torch.Generator, frames: int
    ) -> tuple[list[float], Tensor]:
        """The papers' t, falling evenly from noise to 0 (image), and x_t: frames x n x C x H x W.

        The levels are evenly spaced, and as many as `sampling` has or a few more, so that the frames are.
        """
        process = self.process
        steps = whole_steps(process.timesteps, self.sampling.steps, frames)
        path = process.path(process.times(steps, process.even, self.sampling.rho))
        x = self.latents(n, generator)
        states = chain([process.first_noise(x, path[0])], self.states(x, self.asked(labels, n), path))
        every = steps // (frames - 1)
        kept = zip(path[::every], islice(states, 0, None, every), strict=True)
        shown = [(process.clock(level), process.picture(x, level)) for level, x in kept]
        return [t for t, _ in shown], torch.stack([x for _, x in shown])

    def states(self, noise: Tensor, labels: Tensor, path: Path) -> Iterator[Tensor]:
        """x after every step of the sampler."""

        def denoise(x: Tensor, level: Level) -> Tensor:
            return self.clean_image(x, level, labels)

        x = self.process.first_noise(noise, path[0])
        states: Iterator[Tensor] = self.sampling.sampler.build(denoise, x, path, AddedNoise(noise))
        return states

    def clean_image(self, x: Tensor, level: Level, labels: Tensor) -> Tensor:
        """The guided guess of the clean image."""
        t = torch.full((len(x),), level.t, device=x.device)
        output = self.output(self.seen(x, level.sigma), self.process.shown(t), labels, level)
        image = self.image(output, x, level)
        return image.clamp(-1, 1) if self.sampling.clip else image

    def output(self, x: Tensor, t: Tensor, labels: Tensor, level: Level) -> Tensor:
        """What the averaged network predicts, guided where the level asks for it."""
        s = self.sampling
        w = self.guidance(s) if s.guides(self.process.share(level.t)) else 1.0
        if self.guide is None:
            return guided(self.ema, x, t, labels, w, s.rescale)
        better = self.ema(x, t, labels)
        return better if w == 1 else away(better, self.guide(x, t, labels), w, s.rescale)

    def asked(self, labels: Tensor | None, n: int) -> Tensor:
        """Labels int64 n on the model's device. Raises `UserError` for a class that it does not know."""
        if labels is None and self.num_classes and not self.config.label_drop:
            labels = torch.arange(n) % self.num_classes  # it knows no images of no class
        if labels is None:
            return torch.full((n,), NO_CLASS, device=self.device)
        low, high = (int(labels.min()), int(labels.max())) if n else (0, 0)
        if low < 0 or high >= self.num_classes:
            raise UserError(
                f"class {low if low < 0 else high} was asked for, and the model knows "
                + (f"0 to {self.num_classes - 1}" if self.num_classes else "no classes"),
                help=["ask for a class that it has been trained on"],
            )
        return labels.to(self.device)

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The denoiser with two blank inputs."""
        images = self.spec.blank(2, self.device)
        t = torch.zeros(2, dtype=torch.int64, device=self.device)
        return {"denoiser": (self.denoiser, (images, t, torch.full_like(t, NO_CLASS)))}


def spread_shares(count: int, device: torch.device) -> Tensor:
    """float N in [0, 1). Each is uniform; together they are evenly spread, which makes the loss less noisy
    (Kingma et al. 2021, appendix I.1)."""
    return (torch.rand((), device=device) + torch.arange(count, device=device) / count) % 1


def normal_quantiles(shares: Tensor) -> Tensor:
    """Standard normal numbers N, as evenly spread over their distribution as the shares are over [0, 1)."""
    return torch.special.ndtri(shares.double().clamp(EDGE, 1 - EDGE)).float()


def classes_to_learn(class_conditional: bool | Literal["auto"], spec: ImageSpec) -> int:
    """The number of classes, 0 for an unconditional model. Raises `UserError` where there are none."""
    if class_conditional is True and not spec.num_classes:
        raise UserError(
            "class_conditional = true needs data with classes",
            help=['choose a labeled data set, or class_conditional = "auto"'],
        )
    return spec.num_classes if class_conditional else 0


def whole_steps(timesteps: int | None, steps: int, frames: int) -> int:
    """The number of steps nearest above `steps`, within T, that `frames` - 1 equal parts make up."""
    parts = frames - 1
    if parts < 1 or (timesteps is not None and parts > timesteps):
        levels = "a reverse process" if timesteps is None else f"a reverse process of {timesteps} levels"
        ways = "2 frames or more" if timesteps is None else f"2 to {timesteps + 1} frames"
        raise UserError(f"{frames} frames of {levels}", help=[f"choose {ways}"])
    wanted = -(-steps // parts)
    return parts * (wanted if timesteps is None else min(wanted, timesteps // parts))
