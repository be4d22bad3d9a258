"""VAE: auto-encoding variational Bayes (Kingma and Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Component, Options, Reference, named
from pluglab.protocols import Batch, ImageSpec, Progress
from pluglab.training import TrainerBase, scale_lr
from pluglab_autoencoder.likelihoods import Likelihood
from pluglab_autoencoder.networks import Autoencoder
from pluglab_autoencoder.objectives import (
    free_bits,
    kl_to_standard_normal,
    normal_log_density,
    reparameterized,
)

CHUNK = 128  # images a forward pass when sampling, so that memory is bounded


class VAE(TrainerBase):
    """An encoder q(z|x), normal with a diagonal covariance; a decoder p(x|z); a standard normal prior p(z).

    One step up the evidence lower bound E_q log p(x|z) - beta KL(q(z|x) || p(z)) (eq. 10), with one sample of
    z an image and the Kullback-Leibler divergence in closed form.
    """

    class Config(Options):
        networks: Annotated[Component, Reference("autoencoder")] = named("convolutional")
        """Encoder and decoder."""
        latent_size: int = Field(256, ge=1)
        """Dimensions of z."""
        likelihood: Annotated[Component, Reference("likelihood")] = named("gaussian")
        """p(x|z) of values in [0, 1]."""
        beta: float = Field(1.0, ge=0)
        """Weight of the KL term (Higgins et al. 2017); 1 is the bound itself."""
        warmup: float = Field(0.1, ge=0, le=1)
        """Share of training over which the weight rises from 0 to beta (Soenderby et al. 2016)."""
        free_bits: float = Field(0.0, ge=0)
        """Nats a latent dimension may carry at no cost (Kingma et al. 2016, eq. 15)."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam", lr=2e-3)
        """The optimizer of both networks."""
        schedule: Annotated[Component, Reference("schedule")] = named("one_cycle", warmup=0.1)
        """Learning-rate multiplier over training progress."""

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        self.config, self.spec = config, data["train"]
        networks: Autoencoder = config.networks.build(self.spec, config.latent_size)
        self.likelihood: Likelihood = config.likelihood.build()
        self.encoder: nn.Module = networks.encoder()
        self.decoder: nn.Module = networks.decoder(self.likelihood.head())
        self.schedule = config.schedule.build()
        learned = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = config.optimizer.build(learned)

    @property
    def level_bits(self) -> float:
        """Bits to add to a value's `log_weights` for the probability of its 8-bit level."""
        return self.likelihood.level_bits

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        images = unit(batch["train"].images)
        mean, log_variance = self.encoder(batch["train"].images)
        drawn = self.decoder(reparameterized(mean, log_variance))

        reconstruction = -self.likelihood.log_prob(drawn, images).mean()
        kl = kl_to_standard_normal(mean, log_variance)
        bound = reconstruction + self.beta(progress) * free_bits(kl, self.config.free_bits)
        scale_lr(self.optimizer, progress.at(self.schedule))
        # Nats a value, so that a learning rate means the same for every size of image.
        self.update(self.optimizer, bound / images[0].numel())
        error = (self.likelihood.mean(drawn) - images).square().mean()
        return {
            "loss/reconstruction": reconstruction.detach(),
            "loss/kl": kl.detach().sum(1).mean(),
            "training/mse_per_pixel": error.detach(),
        }

    def beta(self, progress: Progress) -> float:
        """Weight of the KL term now."""
        warmup = self.config.warmup
        return self.config.beta * (min(1.0, progress.fraction / warmup) if warmup else 1.0)

    # What evaluators ask for ----------------------------------------------------------------------

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), N x Z each."""
        return self.encoder(images)

    def embed(self, images: Tensor, role: str) -> Tensor:
        """Posterior means, N x Z."""
        return self.posterior(images)[0]

    def reconstruct(self, images: Tensor, role: str) -> Tensor:
        """The expected images of the posterior means."""
        return self.generate(self.embed(images, role), None)

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """n latents of the prior, N x Z."""
        shape = n, self.config.latent_size
        return torch.randn(shape, generator=generator, device=generator.device)

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """The expected images of latents N x Z, in [-1, 1]; labels are ignored."""
        means = [self.likelihood.mean(self.decoder(part)) for part in latents.split(CHUNK)]
        return torch.cat(means) * 2 - 1

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """n images of the prior, N x C x H x W in [-1, 1]."""
        return self.generate(self.latents(n, generator), labels)

    def log_weights(self, images: Tensor, samples: int) -> Tensor:
        """log p(x|z) + log p(z) - log q(z|x) of `samples` latents of each image's posterior, N x samples."""
        mean, log_variance = (part.repeat_interleave(samples, 0) for part in self.posterior(images))
        z = reparameterized(mean, log_variance)
        log_likelihood = self.likelihood.log_prob(self.decoder(z), unit(images).repeat_interleave(samples, 0))
        zero = torch.zeros_like(z)
        prior, posterior = normal_log_density(z, zero, zero), normal_log_density(z, mean, log_variance)
        return (log_likelihood + prior - posterior).view(len(images), samples)

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Both networks, with two blank inputs each."""
        device = next(self.encoder.parameters()).device
        images, latents = self.spec.blank(2, device), torch.zeros(2, self.config.latent_size, device=device)
        return {"encoder": (self.encoder, (images,)), "decoder": (self.decoder, (latents,))}


def unit(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1]."""
    return (images + 1) / 2
