"""Rectified flow, or flow matching along straight lines, with classifier-free guidance (Liu et al. 2023,
arXiv:2209.03003; Lipman et al. 2023, arXiv:2210.02747)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import Tensor

from pluglab.protocols import ImageSpec
from pluglab_diffusion.denoising import DenoisingOptions, DenoisingTrainer, normal_quantiles, spread_shares
from pluglab_diffusion.process import Level, RectifiedFlow


class FlowMatching(DenoisingTrainer):
    """A network that learns the velocity noise - x_0 of straight lines x_t = (1 - t) x_0 + t noise.

    The loss is its mean squared error over all elements. t is continuous, and counted from the image, 0, to
    noise, 1, as by Esser et al. 2024. Classes, guidance and the average of weights are those of `ddpm`.
    """

    class Config(DenoisingOptions):
        time_distribution: Literal["uniform", "logit_normal"] = "logit_normal"
        """How t is drawn in training: evenly, or mostly in the middle (Esser et al. 2024, section 3.1)."""
        logit_mean: float = 0.0
        """Mean of log(t / (1 - t)), for "logit_normal"; more trains more noise."""
        logit_std: float = Field(1.0, gt=0)
        """Its standard deviation."""

    config: Config

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data, RectifiedFlow())

    def random_times(self, count: int) -> Tensor:
        """float N in [0, 1]."""
        shares = spread_shares(count, self.device)
        if self.config.time_distribution == "uniform":
            return shares
        return (self.config.logit_mean + self.config.logit_std * normal_quantiles(shares)).sigmoid()

    def loss(self, output: Tensor, images: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The squared error of the velocity, a mean over all elements of all images."""
        return (output - (noise - images)).square().mean()

    def image(self, output: Tensor, x: Tensor, level: Level) -> Tensor:
        """x_0 = x_t - t velocity."""
        return x - level.sigma * output
