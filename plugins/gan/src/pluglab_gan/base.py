"""What every method here shares: two networks with an optimizer each, an average to sample from, health."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from pluglab.errors import UserError
from pluglab.protocols import ImageSpec, Progress
from pluglab.training import EMA, Fabric, TrainerBase, scale_lr
from pluglab.training.accumulation import accumulation_of
from pluglab_gan import penalties
from pluglab_gan.augment import diff_augment
from pluglab_gan.latents import drawn
from pluglab_gan.losses import AdversarialLoss
from pluglab_gan.minibatch import MinibatchDeviation
from pluglab_gan.options import GANOptions
from pluglab_gan.penalties import differentiable_twice
from pluglab_gan.spectral import update_spectral_norm

if TYPE_CHECKING:
    from lightning_fabric.wrappers import _FabricModule

CHUNK = 128  # images a forward pass when sampling, so that memory is bounded
MIXING = _BatchNorm, MinibatchDeviation  # what makes an image's score depend on the others
SETTLED = 300  # steps after which images that hardly vary are no beginning any more
Judged = tuple[Tensor, Tensor]
"""Images that D was given, and its scores of them."""
Score = Callable[[Tensor], Tensor]
"""The adversarial score N of each image in D's output."""
TANH_1 = math.tanh(1)  # what white becomes with `tanh_real`


def _score(output: Tensor) -> Tensor:
    """The adversarial score of each image: D's only output, or its first."""
    return output if output.ndim == 1 else output[:, 0]


class GANTrainer(TrainerBase):
    """A generator G and a discriminator D. Can sample, list its networks, and say when it goes wrong.

    A method gives `make_networks` and `step`. D's forward takes images N x C x H x W and returns scores N.
    """

    config: Any
    generator: nn.Module
    discriminator: nn.Module

    def __init__(self, config: GANOptions, data: Mapping[str, ImageSpec]) -> None:
        self.config, self.spec = config, data["train"]
        self.loss: AdversarialLoss = config.loss.build()
        self.schedule = config.schedule.build()
        self.beta2_schedule = config.beta2_schedule.build()
        self.penalty_schedule = config.penalty_schedule.build()
        self.generator, self.discriminator = self.make_networks()
        self.generator_optimizer = config.generator_optimizer.build(self.generator.parameters())
        self.discriminator_optimizer = config.discriminator_optimizer.build(self.discriminator.parameters())
        self.ema = EMA(self.generator, config)
        self.mixes_batch = any(isinstance(part, MIXING) for part in self.discriminator.modules())
        self.progress = Progress(0, 1)

    def setup(self, fabric: Fabric) -> None:
        """Raises `UserError` for penalties that fp16 has no room for."""
        penalized = self.config.r1 or self.config.r2 or self.config.gradient_penalty
        normalized = any(isinstance(part, _BatchNorm) for part in self.discriminator.modules())
        if penalized and normalized and getattr(fabric, "scaler", None) is not None:
            # Its second derivative has the variance to the power of -3/2.
            message = "the gradient of a discriminator with batch norm cannot be penalized in fp16"
            ways = ["set run.precision to 'bf16' or '32'", "or take a discriminator without batch norm"]
            raise UserError(message, help=ways)
        super().setup(fabric)

    def make_networks(self) -> tuple[nn.Module, nn.Module]:
        """G and D for `self.spec`. Raises `UserError` for images that they cannot be made for."""
        raise TypeError(f"{type(self).__name__} must define make_networks()")

    # A step, in parts -----------------------------------------------------------------------------

    def begin_step(self, progress: Progress) -> None:
        """Set the learning rates, and what else follows from the progress."""
        self.progress = progress
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            scale_lr(optimizer, progress.at(self.schedule))
            scale_memory(optimizer, progress.at(self.beta2_schedule))

    def d_minibatches(self, batch: Tensor) -> Sequence[Tensor]:
        """The batch in one part for each step of D. Raises `UserError` for a batch that is too small, or that
        is itself a part of one."""
        count = self.config.discriminator_steps
        if count > 1 and accumulation_of(self.fabric).parts > 1:
            message = f"{count} steps of the discriminator cannot be accumulated over parts of a batch"
            raise UserError(message, help=["set discriminator_steps or gradient_accumulation_steps to 1"])
        if len(batch) < count:
            raise UserError(
                f"a batch of {len(batch)} cannot be shared by {count} steps of the discriminator",
                help=["raise batch_size, or lower discriminator_steps"],
            )
        return batch.tensor_split(count)

    def judged(self, real: Tensor, fake: Tensor, progress: Progress) -> tuple[Tensor, Tensor]:
        """Both kinds of images as D's step takes them: the real ones as the options want them, and each with
        a gradient in steps with a penalty on it, R1 or R2."""
        now, c = self.penalized(progress), self.config
        real = self.squashed(real).detach().requires_grad_(now and bool(c.r1))
        return real, fake.detach().requires_grad_(now and bool(c.r2))

    def squashed(self, images: Tensor) -> Tensor:
        """Real images as G is to make them: through one more tanh, where the options want that."""
        return images.tanh() if self.config.tanh_real else images

    def augment_for_d(self, images: Tensor) -> Tensor:
        """What D gets to see of images: with instance noise, and augmented."""
        c = self.config
        if c.instance_noise and (left := 1 - self.progress.fraction / c.instance_noise_until) > 0:
            images = images + c.instance_noise * left * torch.randn_like(images)
        return diff_augment(images, c.diff_augment)

    def discriminate(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """D's outputs for real and for generated images, in one forward pass, or in one each.

        Each kind has its own where batch norm or the minibatch's deviation makes a score depend on the rest
        of the batch. It also has where images are differentiated twice.
        """
        real, fake = self.augment_for_d(real), self.augment_for_d(fake)
        twice = real.requires_grad or fake.requires_grad
        if self.mixes_batch or twice:
            # Both alike: batch norm of a compiled network does not go together with that of a plain one.
            with differentiable_twice(self.discriminator) if twice else nullcontext():
                return self.discriminator(real), self.discriminator(fake)
        both = self.discriminator(torch.cat([real, fake]))
        return both[: len(real)], both[len(real) :]

    def penalized(self, progress: Progress) -> bool:
        """Whether D's gradient is penalized in this step."""
        return progress.step % int(self.config.penalty_every) == 0

    def penalty(
        self, real: Judged, fake: Judged, progress: Progress, score: Score = _score
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted penalties on D's gradient, as often as many times as they are left out; and each bare,
        to log. Images come with their scores."""
        c, gradient, values = self.config, self.differentiable_gradient, dict[str, Tensor]()
        if self.penalized(progress):
            for name, (images, scores) in (("r1", real), ("r2", fake)):
                if getattr(c, name):
                    values[name] = penalties.zero_centered(scores, images, gradient)
            if c.gradient_penalty:
                critic = lambda images: score(self.discriminator(self.augment_for_d(images)))  # noqa: E731
                with differentiable_twice(self.discriminator):
                    between = penalties.gradient_penalty(critic, real[0], fake[0], gradient)
                values["gradient_penalty"] = between
        weighted = (self._weight(name, progress) * value for name, value in values.items())
        total = sum(weighted, real[1].new_zeros(()))
        return total, {f"loss/{name}": value.detach() for name, value in values.items()}

    def _weight(self, name: str, progress: Progress) -> float:
        weight = float(self.config.penalty_every * getattr(self.config, name))
        return weight if name == "gradient_penalty" else weight * progress.at(self.penalty_schedule)

    def generator_loss(self, output: Tensor, real: Tensor, score: Score = _score) -> Tensor:
        """G's adversarial loss, given D's output for generated images, and real images if it wants theirs."""
        return self.loss.generator(score(output), lambda: score(self.discriminate_real(real)))

    def discriminate_fake(self, fake: Tensor) -> Tensor:
        """D's output for images that G is about to learn from; D itself will not learn from it."""
        with self.fabric.no_backward_sync(cast("_FabricModule", self.discriminator)):
            return self.discriminator(self.augment_for_d(fake))

    @torch.no_grad()
    def discriminate_real(self, real: Tensor) -> Tensor:
        """D's output for real images, from which no network will learn."""
        return self.discriminator(self.augment_for_d(self.squashed(real)))

    def update_generator(self, loss: Tensor, fake: Tensor, penalty: Tensor | None = None) -> Tensor:
        """One step of G down `loss`, a function of `fake`. Returns the gradient's length at an image, a mean.

        The loss is differentiated with respect to the images only, and their gradient goes on into G: no
        gradient of D's weights is computed. `penalty` is one more loss, of G alone.
        """
        gradient = self.input_gradient(loss, fake)
        if penalty is None:
            self.update(self.generator_optimizer, fake, gradient)
        else:
            self.update(self.generator_optimizer, (fake * gradient).sum() + penalty)
        return gradient.flatten(1).norm(dim=1).mean() * len(fake)

    def differentiable_gradient(self, scores: Tensor, images: Tensor) -> Tensor:
        """For penalties on it."""
        return self.input_gradient(scores, images, create_graph=True)

    def update_average(self, progress: Progress, images: int) -> None:
        """Let the average follow after a step on `images` images in this process."""
        self.ema.update(progress.step, images * self.fabric.world_size)
        update_spectral_norm(self.ema.network)

    # Sampling -------------------------------------------------------------------------------------

    def training_latents(self, n: int) -> Tensor:
        """n latents to train on, from torch's global generator."""
        return self._drawn(n, None, self.fabric.device)

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """n latents, N x Z, distributed as in training."""
        return self._drawn(n, generator, generator.device)

    def _drawn(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        empty = torch.empty(n, self.config.latent_size, device=device)
        return drawn(self.config.latent_distribution, empty, generator)

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Images of the averaged weights, N x C x H x W in [-1, 1]; an unconditional G ignores labels."""
        return torch.cat([self.shown(self.ema(part)) for part in latents.split(CHUNK)])

    def shown(self, made: Tensor) -> Tensor:
        """Images that look like the data, in [-1, 1], of those that G makes; see `squashed`."""
        return made.clamp(-TANH_1, TANH_1).atanh().clamp(-1, 1) if self.config.tanh_real else made

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """n images of the averaged weights, N x C x H x W in [-1, 1]."""
        return self.generate(self.latents(n, generator), labels)

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Both networks, with two blank inputs each."""
        device = next(self.generator.parameters()).device
        images, latents = self.spec.blank(2, device), torch.zeros(2, self.config.latent_size, device=device)
        return {"generator": (self.generator, (latents,)), "discriminator": (self.discriminator, (images,))}

    # Health ---------------------------------------------------------------------------------------

    def diagnose(self, scalars: Mapping[str, float]) -> Sequence[str]:
        """What the logged means of a training say is wrong, a line each with the usual remedies."""
        return [message for wrong, message in self._symptoms(scalars) if wrong]

    def _symptoms(self, scalars: Mapping[str, float]) -> list[tuple[bool, str]]:
        d_loss = scalars.get("loss/discriminator", 1.0)
        gradient = scalars.get("training/generator_gradient", 1.0)
        variety = scalars.get("training/diversity", 1.0)
        return [
            (
                0 <= d_loss < 0.01,
                f"the discriminator is saturated: its loss is {d_loss:.2g}, so it has nothing left to learn; "
                "lower its learning rate, or add r1, instance_noise, label smoothing or diff_augment",
            ),
            (
                gradient < 1e-4,
                f"the generator's gradient vanishes: {gradient:.2g} an image; "
                "use the non_saturating or the hinge loss, or weaken the discriminator",
            ),
            (
                variety < 0.2 and self.progress.step >= SETTLED,
                f"the generator collapses: its images vary {variety:.2g} times as much as real ones; "
                "lower the learning rates, or add r1, diff_augment or a larger batch",
            ),
        ]


def scale_memory(optimizer: Optimizer, multiplier: float) -> None:
    """Set the beta2 of an optimizer that has one: 1 - beta2 is `multiplier` times what it was made with."""
    for group in optimizer.param_groups if "betas" in optimizer.defaults else ():
        beta1, beta2 = optimizer.defaults["betas"]
        group["betas"] = beta1, max(0.0, beta2 + (1 - beta2) * (1 - multiplier))


@torch.no_grad()
def diversity(fake: Tensor, real: Tensor, labels: Tensor | None = None, classes: int = 1) -> Tensor:
    """How much generated images vary relative to real ones: their deviation over the batch.

    It is that of images reduced to 8 x 8, so that noise of single pixels does not count, averaged over places
    and channels. With labels, which both batches share, it is the deviation within the classes.
    """
    labels = torch.zeros(len(real), dtype=torch.int64, device=real.device) if labels is None else labels
    member = F.one_hot(labels, classes).to(real.dtype)
    spread = [_spread(F.adaptive_avg_pool2d(images, 8).flatten(1), member) for images in (fake, real)]
    return spread[0] / spread[1].clamp_min(1e-6)


def _spread(values: Tensor, member: Tensor) -> Tensor:
    """Mean over columns of the deviation of N x F values from the means of their classes."""
    means = member.T @ values / member.sum(0).clamp_min(1)[:, None]
    return (values - member @ means).square().mean(0).sqrt().mean()
