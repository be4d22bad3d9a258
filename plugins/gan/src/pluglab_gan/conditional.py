"""What methods share whose G is told a class."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from pluglab.errors import UserError
from pluglab.protocols import Batch, ImageSpec, Progress, Role
from pluglab_gan.base import CHUNK, GANTrainer, diversity
from pluglab_gan.options import GANOptions


class ConditionalGAN(GANTrainer):
    """Makes images of a class asked for: G's forward takes latents N x Z and labels N.

    In a step, image i of the real ones and image i of the generated ones are of the same class.
    """

    name: ClassVar[str]
    num_classes: int
    roles = (Role("train", labels="required"),)

    def __init__(self, config: GANOptions, data: Mapping[str, ImageSpec]) -> None:
        self.num_classes = data["train"].num_classes
        if not self.num_classes:
            raise UserError(
                f"'{self.name}' makes images of a class asked for, and this data has no classes",
                help=["choose a labeled data set, or an unconditional trainer such as 'dcgan'"],
            )
        super().__init__(config, data)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        self.begin_step(progress)
        real, labels = batch["train"].images, batch["train"].labels
        assert labels is not None
        fake = self.generator(self.training_latents(len(real)), labels)
        logs: dict[str, Tensor] = {}
        for share in zip(
            self.d_minibatches(real),
            self.d_minibatches(fake.detach()),
            self.d_minibatches(labels),
            strict=True,
        ):
            logs |= self.train_discriminator(*share, progress)
        logs |= self.train_generator(real, fake, labels)
        self.update_average(progress, len(real))
        return logs | {"training/diversity": diversity(fake, self.squashed(real), labels, self.num_classes)}

    @abstractmethod
    def train_discriminator(
        self, real: Tensor, fake: Tensor, labels: Tensor, progress: Progress
    ) -> dict[str, Tensor]:
        """One step of D on real images, and on generated ones of the same classes."""
        raise NotImplementedError

    @abstractmethod
    def train_generator(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """One step of G down what D now says of its images, perhaps beside the real ones."""
        raise NotImplementedError

    def generate(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Images of the averaged weights of these classes; of classes in turn where none are given."""
        if labels is None:
            labels = torch.arange(len(latents), device=latents.device) % self.num_classes
        parts = zip(latents.split(CHUNK), labels.split(CHUNK), strict=True)
        return torch.cat([self.shown(self.ema(*part)) for part in parts])

    def networks(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """Both networks, with two blank inputs each."""
        (generator, (latents,)), discriminator = super().networks().values()
        labels = torch.zeros(2, dtype=torch.int64, device=latents.device)
        return {"generator": (generator, (latents, labels)), "discriminator": discriminator}
