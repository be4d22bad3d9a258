"""Components of each kind with which nothing is wrong. Those of `faulty` differ from them in one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pluglab import Batch, Evaluation, Images, Options, Progress, Role, TrainerBase, UserError


class Linear(TrainerBase):
    """One linear layer behind dropout, trained by cross-entropy."""

    class Config(Options):
        lr: float = 0.1
        """Learning rate."""

    roles = (Role("train", labels="required"),)

    def __init__(self, config: Config, data: Mapping[str, Any]) -> None:
        spec = data["train"]
        pixels = spec.channels * spec.height * spec.width
        self.net = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(pixels, spec.num_classes))
        self.optimizer = torch.optim.SGD(self.net.parameters(), config.lr, momentum=0.5)

    def loss(self, batch: Batch) -> Tensor:
        assert batch.labels is not None
        return nn.functional.cross_entropy(self.net(batch.images), batch.labels)

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        loss = self.loss(batch["train"])
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}

    def predict(self, images: Tensor, role: str) -> Tensor:
        logits: Tensor = self.net(images)
        return logits


class Drawer(TrainerBase):
    """Images out of noise by one linear layer."""

    def __init__(self, config: Options, data: Mapping[str, Any]) -> None:
        self.size = data["train"].shape
        pixels = self.size[0] * self.size[1] * self.size[2]
        self.net = nn.Sequential(nn.Linear(4, pixels), nn.Tanh())
        self.optimizer = torch.optim.Adam(self.net.parameters())

    def step(self, batch: Mapping[str, Batch], progress: Progress) -> Mapping[str, Tensor]:
        images = batch["train"].images
        made = self.net(torch.randn(len(images), 4, device=images.device))
        loss = (made - images.flatten(1)).square().mean()
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}

    def sample(self, n: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        images: Tensor = self.net(torch.randn(n, 4, generator=generator, device=generator.device))
        return images.unflatten(1, self.size)


class Look:
    """The mean of the predictions."""

    needs: tuple[type, ...] = ()

    def evaluate(self, trainer: Any, data: Any, context: Any) -> Evaluation:
        splits = next(iter(data.values()))
        images = next(splits["test"].batches(8))
        return Evaluation({"brightness": images.mean().item()})


class Noise:
    """Images of noise in two classes."""

    def prepare(self, context: Any) -> None:
        """Needs nothing."""

    def split(self, name: str) -> Images:
        if name not in ("train", "test"):
            raise UserError(f"there is no split '{name}'")
        generator = torch.Generator().manual_seed(len(name))
        pixels = torch.randint(256, (8, 1, 8, 8), dtype=torch.uint8, generator=generator)
        return Images(pixels, torch.arange(8) % 2, ("even", "odd"))


class Dim:
    """Half as bright."""

    random = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images / 2 - 0.5
