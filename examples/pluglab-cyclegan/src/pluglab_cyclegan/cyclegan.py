"""CycleGAN: images of one kind become images of another, and come back (Zhu et al. 2017, arXiv:1703.10593)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pluglab import (
    Batch,
    Component,
    ImageSpec,
    Options,
    Progress,
    Reference,
    Role,
    TrainerBase,
    named,
    scale_lr,
)
from pydantic import Field
from torch import Tensor, nn


class Residual(nn.Module):
    """x plus two convolutions of it, each normalized within its image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(width, width, 3, padding=1), nn.InstanceNorm2d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 3, padding=1), nn.InstanceNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.layers(x)
        return added


def generator(source: ImageSpec, target: ImageSpec, width: int, blocks: int) -> nn.Sequential:
    """Images to images of the same size, values in [-1, 1]."""
    first = [nn.Conv2d(source.channels, width, 3, padding=1), nn.ReLU()]
    last = [nn.Conv2d(width, target.channels, 3, padding=1), nn.Tanh()]
    return nn.Sequential(*first, *(Residual(width) for _ in range(blocks)), *last)


def discriminator(spec: ImageSpec, width: int) -> nn.Sequential:
    """Scores of overlapping patches of 22 pixels, N x 1 x H/4 x W/4 (section 4)."""
    layers: list[nn.Module] = [nn.Conv2d(spec.channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(width, 2 * width, 4, 2, 1), nn.InstanceNorm2d(2 * width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(2 * width, 1, 3, padding=1))


def squared(scores: Tensor, wanted: float) -> Tensor:
    """The least-squares loss, in place of the logarithms of eq. 1 (section 4)."""
    return (scores - wanted).square().mean()


class CycleGAN(TrainerBase):
    """G translates x to y and F translates y to x, so that D_Y and D_X cannot tell translations from images.

    The full objective, eq. 3: both adversarial losses, `cycle` times |F(G(x)) - x| + |G(F(y)) - y|, and the
    identity loss of section 5.2. The history of 50 images is left out: discriminators see the newest.
    """

    class Config(Options):
        width: int = Field(24, ge=1)
        """Channels of the generators and of the discriminators' first layer."""
        blocks: int = Field(2, ge=1)
        """Residual blocks of a generator."""
        cycle: float = Field(10.0, ge=0)
        """Weight lambda of the cycle-consistency loss."""
        identity: float = Field(0.5, ge=0)
        """Weight of |G(y) - y| + |F(x) - x|, times `cycle`."""
        optimizer: Annotated[Component, Reference("optimizer")] = named("adam", lr=5e-4, betas=[0.5, 0.999])
        """Any registered optimizer, one for the generators and one for the discriminators."""
        schedule: Annotated[Component, Reference("schedule")] = named("constant")
        """Any registered schedule of both rates."""

    roles = (Role("x", labels="hidden"), Role("y", labels="hidden"))
    translations = (("x", "y"), ("y", "x"))

    def __init__(self, config: Config, data: Mapping[str, ImageSpec]) -> None:
        x, y = data["x"], data["y"]
        x.require(min(x.shape[1:]) >= 8, "'cyclegan'", "8 pixels a side or more")
        x.require(x.shape[1:] == y.shape[1:], "'cyclegan'", "both roles' images of one size")
        self.config, width = config, config.width
        ways = {"x": generator(x, y, width, config.blocks), "y": generator(y, x, width, config.blocks)}
        self.generators = nn.ModuleDict(ways)  # by the role whose images they take
        self.discriminators = nn.ModuleDict({"x": discriminator(x, width), "y": discriminator(y, width)})
        self.generator_optimizer = config.optimizer.build(self.generators.parameters())
        self.discriminator_optimizer = config.optimizer.build(self.discriminators.parameters())
        self.schedule = config.schedule.build()

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            scale_lr(optimizer, progress.at(self.schedule))
        images = {role: part.images for role, part in batch.items()}
        made = {to: self.translate(images[role], role, to) for role, to in self.translations}
        losses = self._generator_losses(images, made)
        weights = {"adversarial": 1.0, "cycle": self.config.cycle}
        weights["identity"] = self.config.cycle * self.config.identity
        total = sum((weights[name] * loss for name, loss in losses.items()), images["x"].new_zeros(()))
        self.update(self.generator_optimizer, total)
        judged = sum(self._discriminator_loss(role, images[role], made[role].detach()) for role in images)
        assert isinstance(judged, Tensor)
        self.update(self.discriminator_optimizer, judged)
        losses["discriminators"] = judged
        return {f"loss/{name}": loss.detach() for name, loss in losses.items()}

    def _generator_losses(
        self, images: Mapping[str, Tensor], made: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        found = dict.fromkeys(("adversarial", "cycle", "identity"), images["x"].new_zeros(()))
        for role, to in self.translations:
            back = self.translate(made[to], to, role)
            found["adversarial"] = found["adversarial"] + squared(self.discriminators[to](made[to]), 1)
            found["cycle"] = found["cycle"] + (back - images[role]).abs().mean()
            if images[role].shape == images[to].shape and self.config.identity:
                same = self.translate(images[to], role, to)
                found["identity"] = found["identity"] + (same - images[to]).abs().mean()
        return found

    def _discriminator_loss(self, role: str, real: Tensor, made: Tensor) -> Tensor:
        judge = self.discriminators[role]
        return (squared(judge(real), 1) + squared(judge(made), 0)) / 2

    def translate(self, images: Tensor, role: str, to: str) -> Tensor:
        """Images of one role as images of the other, in [-1, 1]."""
        made: Tensor = self.generators[role](images)
        return made
