"""The options that methods share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pluglab.components import Component, Reference, named
from pluglab.training import EMAOptions
from pluglab_gan.augment import Policy
from pluglab_gan.latents import Distribution

Optimizer = Annotated[Component, Reference("optimizer")]


def adam(lr: float, betas: tuple[float, float]) -> Any:
    """Adam as a default."""
    return named("adam", lr=lr, betas=betas)


class GANOptions(EMAOptions):
    """The options of every method; each method has its own defaults for some."""

    loss: Annotated[Component, Reference("gan_loss")] = named("non_saturating")
    """What D and G descend; label smoothing, soft labels and flips are options of it."""
    generator_optimizer: Optimizer = adam(2e-4, (0.5, 0.999))
    """The optimizer of G, with its own learning rate."""
    discriminator_optimizer: Optimizer = adam(2e-4, (0.5, 0.999))
    """The optimizer of D, with its own learning rate."""
    schedule: Annotated[Component, Reference("schedule")] = named("constant")
    """Multiplier of both learning rates over training progress."""
    beta2_schedule: Annotated[Component, Reference("schedule")] = named("constant")
    """Multiplier of 1 - beta2 of both optimizers over training progress, for those that have `betas`."""
    latent_size: int = Field(100, ge=1)
    """Numbers that an image is made from."""
    latent_distribution: Distribution = "normal"
    """Standard normal latents, or uniform ones in [-1, 1]."""
    discriminator_steps: int = Field(1, ge=1)
    """Steps of D before each step of G. They share the batch: each sees its own part of the real and of the
    generated images, and G learns from all of the latter."""
    r1: float = Field(0.0, ge=0)
    """Weight of the squared gradient of D at real images (Mescheder et al. 2018)."""
    r2: float = Field(0.0, ge=0)
    """Weight of the squared gradient of D at generated images (Mescheder et al. 2018)."""
    penalty_schedule: Annotated[Component, Reference("schedule")] = named("constant")
    """Multiplier of `r1` and `r2` over training progress."""
    gradient_penalty: float = Field(0.0, ge=0)
    """Weight of the distance of D's gradient to length 1, between real and generated images (Gulrajani et
    al. 2017, where it is 10). Wants a D without batch norm."""
    penalty_every: int = Field(1, ge=1)
    """Steps between two of these penalties; each then counts that many times (lazy regularization, Karras et
    al. 2020)."""
    diff_augment: tuple[Policy, ...] = ()
    """Differentiable augmentation of all that D sees (Zhao et al. 2020)."""
    instance_noise: float = Field(0.0, ge=0)
    """Standard deviation of the noise added to all that D sees, at the start (Sonderby et al. 2017)."""
    instance_noise_until: float = Field(0.5, gt=0, le=1)
    """Share of training after which that noise has fallen, evenly, to nothing."""
    tanh_real: bool = False
    """Pass real images through one more tanh before D sees them, so that G need not saturate its own; this is
    undone when sampling."""
