"""Denoising diffusion (Ho et al. 2020, arXiv:2006.11239) with classifier-free guidance (arXiv:2207.12598)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor

from pluglab.components import Component, Reference, named
from pluglab.errors import UserError
from pluglab.protocols import ImageSpec
from pluglab_diffusion.denoising import DenoisingOptions, DenoisingTrainer, spread_shares
from pluglab_diffusion.prediction import Prediction, image_of, min_snr_weight, target
from pluglab_diffusion.process import DiscreteProcess, Level, check_levels


class DDPM(DenoisingTrainer):
    """A network that learns to take noise away, at T levels of it; images are drawn from pure noise.

    The loss is the mean squared error of the prediction over all elements, at levels t = 0 to T - 1 (eq. 14).
    A class-conditional model does not see the labels of some images, and so learns both models that guidance
    needs. Images are drawn from an average of the weights.
    """

    class Config(DenoisingOptions):
        timesteps: int = Field(1000, ge=2)
        """Number T of noise levels."""
        noise_schedule: Annotated[Component, Reference("noise_schedule")] = named("cosine")
        """How much of the image is left at each level."""
        prediction: Prediction = "v"
        """What the network predicts: the noise, the image, or v = alpha noise - sigma x0."""
        min_snr: float | None = Field(None, gt=0)
        """The gamma of min-SNR weights (Hang et al. 2023; theirs is 5); without it the squared error of
        `prediction` counts alike at all levels."""

    config: Config
    process: DiscreteProcess
    meaning = ("timesteps", "noise_schedule", "prediction")

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        levels = config.noise_schedule.build(config.timesteps)
        check_levels(levels, config.noise_schedule.name)
        process = DiscreteProcess(levels)
        check_terminal(config.prediction, process)
        super().__init__(config, data, process)

    def random_times(self, count: int) -> Tensor:
        """int64 N, each uniform over 0 to T - 1."""
        shares = spread_shares(count, self.device)
        return (shares * self.config.timesteps).long().clamp(max=self.config.timesteps - 1)

    def loss(self, output: Tensor, images: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The squared error of the prediction, a mean over all elements of all images, weighted by level."""
        kind, gamma = self.config.prediction, self.config.min_snr
        errors = (output - target(kind, images, noise, *self.process.at(t))).square().mean((1, 2, 3))
        return (errors * min_snr_weight(kind, self.process.snr[t], gamma) if gamma else errors).mean()

    def image(self, output: Tensor, x: Tensor, level: Level) -> Tensor:
        return image_of(self.config.prediction, output, x, level.alpha, level.sigma)


def check_terminal(prediction: Prediction, process: DiscreteProcess) -> None:
    """Raises `UserError` where the last level is pure noise, of which the noise says nothing."""
    if prediction == "epsilon" and float(process.alphas_cumprod[-1]) == 0:
        raise UserError(
            'zero_terminal_snr makes the last level pure noise, where prediction = "epsilon" gives no image',
            help=['choose prediction = "v", or zero_terminal_snr = false'],
        )
