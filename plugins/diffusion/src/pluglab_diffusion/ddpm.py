"""Denoising diffusion (Ho et al. 2020, arXiv:2006.11239) with classifier-free guidance (arXiv:2207.12598)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Component, Reference, named, table
from pluglab.errors import UserError
from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab.training import EMA, EMAOptions, Fabric, TrainerBase, scale_lr
from pluglab_diffusion.denoisers import NO_CLASS
from pluglab_diffusion.process import (
    Level,
    Prediction,
    Process,
    check_levels,
    image_of,
    min_snr_weight,
    noised,
    target,
)
from pluglab_diffusion.sampling import AddedNoise, Sampling, guided, times


class DDPM(TrainerBase):
    """A network that learns to take noise away, at T levels of it; images are drawn from pure noise.

    The loss is the mean squared error of the prediction over all elements, at levels t = 0 to T - 1 (eq. 14).
    A class-conditional model does not see the labels of some images, and so learns both models that guidance
    needs. Images are drawn from an average of the weights.
    """

    class Config(EMAOptions):
        denoiser: Annotated[Component, Reference("denoiser")] = named("unet")
        """The network."""
        timesteps: int = Field(1000, ge=2)
        """Number T of noise levels."""
        noise_schedule: Annotated[Component, Reference("noise_schedule")] = named("cosine")
        """How much of the image is left at each level."""
        prediction: Prediction = "v"
        """What the network predicts: the noise, the image, or v = alpha noise - sigma x0."""
        min_snr: float | None = Field(None, gt=0)
        """The gamma of min-SNR weights (Hang et al. 2023; theirs is 5); without it the squared error of
        `prediction` counts alike at all levels."""
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

    SamplingConfig = Sampling
    num_classes: int
    roles = (Role("train"),)

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        self.config, self.spec = config, data["train"]
        self.num_classes = classes_to_learn(config.class_conditional, self.spec)
        levels = config.noise_schedule.build(config.timesteps)
        check_levels(levels, config.noise_schedule.name)
        self.process = Process(levels)
        check_terminal(config.prediction, self.process)
        self.sampling = config.sampling
        self.denoiser: nn.Module = config.denoiser.build(self.spec, self.num_classes, config.timesteps)
        self.ema = EMA(self.denoiser, config)
        self.optimizer = config.optimizer.build(self.denoiser.parameters())
        self.schedule = config.schedule.build()

    def setup(self, fabric: Fabric) -> None:
        super().setup(fabric)
        self.process = self.process.to(fabric.device)

    # Training ---------------------------------------------------------------------------------------

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        images, labels = batch["train"].images, batch["train"].labels
        scale_lr(self.optimizer, progress.at(self.schedule))
        t, noise = self.random_times(len(images)), torch.randn_like(images)
        x = noised(images, noise, *self.process.at(t))
        loss = self.loss(self.denoiser(x, t, self.shown(labels, t)), images, noise, t)
        self.update(self.optimizer, loss)
        self.ema.update(progress.step, len(images) * self.fabric.world_size)
        return {"loss/denoising": loss.detach()}

    def random_times(self, count: int) -> Tensor:
        """Levels int64 N. Each is uniform over 0 to T - 1; together they are evenly spread, which makes the
        loss less noisy (Kingma et al. 2021, appendix I.1)."""
        device = self.process.snr.device
        share = (torch.rand((), device=device) + torch.arange(count, device=device) / count) % 1
        return (share * self.process.timesteps).long().clamp(max=self.process.timesteps - 1)

    def shown(self, labels: Tensor | None, t: Tensor) -> Tensor:
        """The labels that the network is shown; each is left out with the same probability, by itself."""
        if not self.num_classes:
            return torch.full_like(t, NO_CLASS)
        if labels is None:
            raise UserError("the data has classes but no labels", help=["set class_conditional = false"])
        return labels.masked_fill(torch.rand(len(t), device=t.device) < self.config.label_drop, NO_CLASS)

    def loss(self, output: Tensor, images: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The squared error of the prediction, a mean over all elements of all images, weighted by level."""
        kind, gamma = self.config.prediction, self.config.min_snr
        errors = (output - target(kind, images, noise, *self.process.at(t))).square().mean((1, 2, 3))
        return (errors * min_snr_weight(kind, self.process.snr[t], gamma) if gamma else errors).mean()

    # Sampling ---------------------------------------------------------------------------------------

    @property
    def sampling(self) -> Sampling:
        """How images are drawn. Raises `UserError`, when set, for what this model cannot do."""
        return self._sampling

    @sampling.setter
    def sampling(self, sampling: Sampling) -> None:
        times(self.process.timesteps, sampling.steps, sampling.spacing)
        self.guidance(sampling)
        self._sampling = sampling

    def guidance(self, sampling: Sampling) -> float:
        """The weight w. Raises `UserError` for guidance that this model has not been trained for."""
        trained = bool(self.num_classes and self.config.label_drop)
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
        path = self.process.levels(times(self.process.timesteps, self.sampling.steps, self.sampling.spacing))
        asked, size = self.asked(labels, len(latents)), self.sampling.batch_size
        parts = zip(latents.split(size), asked.split(size), strict=True)
        ends = (deque(self.states(noise, wanted, path), maxlen=1) for noise, wanted in parts)
        return torch.cat([end.pop() for end in ends])

    def trajectory(
        self, n: int, labels: Tensor | None, generator: torch.Generator, frames: int
    ) -> tuple[list[int], Tensor]:
        """The papers' t, falling evenly from T (noise) to 0 (image), and x_t: frames x n x C x H x W.

        The levels are evenly spaced, and as many as `sampling` has or a few more, so that the frames are.
        """
        steps = whole_steps(self.process.timesteps, self.sampling.steps, frames)
        path = self.process.levels(times(self.process.timesteps, steps, spacing=1))
        x = self.latents(n, generator)
        states = chain([x], self.states(x, self.asked(labels, n), path))
        every = steps // (frames - 1)
        return [level.t + 1 for level in path[::every]], torch.stack(list(islice(states, 0, None, every)))

    def states(self, x: Tensor, labels: Tensor, path: Sequence[Level]) -> Iterator[Tensor]:
        """x after every step of the sampler."""

        def denoise(x: Tensor, level: Level) -> Tensor:
            return self.clean_image(x, level, labels)

        states: Iterator[Tensor] = self.sampling.sampler.build(denoise, x, path, AddedNoise(x))
        return states

    def clean_image(self, x: Tensor, level: Level, labels: Tensor) -> Tensor:
        """The guided guess of the clean image."""
        s, kind = self.sampling, self.config.prediction
        guides = s.guides(level.t, self.process.timesteps)
        w = self.guidance(s) if guides else 1.0
        t = torch.full((len(x),), level.t, device=x.device)
        output = guided(self.ema, x, t, labels, w, s.rescale)
        image = image_of(kind, output, x, level.alpha, level.sigma)
        return image.clamp(-1, 1) if s.clip else image

    def asked(self, labels: Tensor | None, n: int) -> Tensor:
        """Labels int64 n on the model's device. Raises `UserError` for a class that it does not know."""
        device = self.process.snr.device
        if labels is None and self.num_classes and not self.config.label_drop:
            labels = torch.arange(n) % self.num_classes  # it knows no images of no class
        if labels is None:
            return torch.full((n,), NO_CLASS, device=device)
        low, high = (int(labels.min()), int(labels.max())) if n else (0, 0)
        if low < 0 or high >= self.num_classes:
            raise UserError(
                f"class {low if low < 0 else high} was asked for, and the model knows "
                + (f"0 to {self.num_classes - 1}" if self.num_classes else "no classes"),
                help=["ask for a class that it has been trained on"],
            )
        return labels.to(device)

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The denoiser with two blank inputs."""
        device = next(self.denoiser.parameters()).device
        images = self.spec.blank(2, device)
        t = torch.zeros(2, dtype=torch.int64, device=device)
        return {"denoiser": (self.denoiser, (images, t, torch.full_like(t, NO_CLASS)))}


def classes_to_learn(class_conditional: bool | Literal["auto"], spec: ImageSpec) -> int:
    """The number of classes, 0 for an unconditional model. Raises `UserError` where there are none."""
    if class_conditional is True and not spec.num_classes:
        raise UserError(
            "class_conditional = true needs data with classes",
            help=['choose a labeled data set, or class_conditional = "auto"'],
        )
    return spec.num_classes if class_conditional else 0


def check_terminal(prediction: Prediction, process: Process) -> None:
    """Raises `UserError` where the last level is pure noise, of which the noise says nothing."""
    if prediction == "epsilon" and float(process.alphas_cumprod[-1]) == 0:
        raise UserError(
            'zero_terminal_snr makes the last level pure noise, where prediction = "epsilon" gives no image',
            help=['choose prediction = "v", or zero_terminal_snr = false'],
        )


def whole_steps(timesteps: int, steps: int, frames: int) -> int:
    """The number of steps nearest above `steps`, within T, that `frames` - 1 equal parts make up."""
    parts = frames - 1
    if not 1 <= parts <= timesteps:
        raise UserError(
            f"{frames} frames of a reverse process of {timesteps} levels",
            help=[f"choose 2 to {timesteps + 1} frames"],
        )
    return parts * min(-(-steps // parts), timesteps // parts)
