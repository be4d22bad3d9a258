"""EDM: preconditioned denoising (Karras et al. 2022, arXiv:2206.00364), with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator
from torch import Tensor

from pluglab.protocols import ImageSpec
from pluglab_diffusion.denoising import DenoisingOptions, DenoisingTrainer, normal_quantiles, spread_shares
from pluglab_diffusion.prediction import Number
from pluglab_diffusion.process import SIGMA_MAX, SIGMA_MIN, Level, VarianceExploding


class EDM(DenoisingTrainer):
    """A network F in D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), which learns the image in x_0 + sigma
    noise (table 1, "Ours").

    The loss lambda(sigma) |D - x_0|^2 with lambda = 1 / c_out^2 is the squared error of F, a mean over all
    elements. Training draws ln(sigma) from a normal distribution. Classes, guidance and the average of
    weights are those of `ddpm`.
    """

    class Config(DenoisingOptions):
        sigma_data: float = Field(0.5, gt=0)
        """Standard deviation of the images' values."""
        p_mean: float = -1.2
        """Mean of ln(sigma) in training."""
        p_std: float = Field(1.2, gt=0)
        """Standard deviation of ln(sigma) in training."""
        sigma_min: float = Field(SIGMA_MIN, gt=0)
        """The least sigma that sampling passes."""
        sigma_max: float = Field(SIGMA_MAX, gt=0)
        """The sigma that sampling starts from."""

        @model_validator(mode="after")
        def _rising(self) -> EDM.Config:
            if self.sigma_min >= self.sigma_max:
                raise ValueError("should have a sigma_min below its sigma_max")
            return self

    config: Config
    meaning = ("sigma_data", "sigma_min", "sigma_max")

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        super().__init__(config, data, VarianceExploding(config.sigma_min, config.sigma_max))

    def random_times(self, count: int) -> Tensor:
        """sigma, float N, log-normal."""
        shares = spread_shares(count, self.device)
        return (self.config.p_mean + self.config.p_std * normal_quantiles(shares)).exp()

    def seen(self, x: Tensor, sigma: Number) -> Tensor:
        return x * c_in(sigma, self.config.sigma_data)

    def loss(self, output: Tensor, images: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The squared error of F (eq. 8), a mean over all elements of all images."""
        _, sigma = self.process.at(t)
        skipped = c_skip(sigma, self.config.sigma_data) * (images + sigma * noise)
        return (output - (images - skipped) / c_out(sigma, self.config.sigma_data)).square().mean()

    def image(self, output: Tensor, x: Tensor, level: Level) -> Tensor:
        """D (eq. 7)."""
        data = self.config.sigma_data
        return c_skip(level.sigma, data) * x + c_out(level.sigma, data) * output


# Preconditioning, table 1; c_noise is in `VarianceExploding` ------------------------------------------


def c_skip(sigma: Number, data: float) -> Number:
    return data**2 / (sigma**2 + data**2)


def c_out(sigma: Number, data: float) -> Number:
    return sigma * data / (sigma**2 + data**2) ** 0.5


def c_in(sigma: Number, data: float) -> Number:
    return 1 / (sigma**2 + data**2) ** 0.5
