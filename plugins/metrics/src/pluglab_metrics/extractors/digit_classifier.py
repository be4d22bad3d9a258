"""A small classifier that is trained once on a data set's training images and then judges generated ones."""

from __future__ import annotations

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pluglab import Batch
from pluglab.components import Component, Options, Reference, named
from pluglab.data import Images, to_float
from pluglab.errors import UserError
from pluglab_metrics.extractors.base import Features
from pluglab_metrics.extractors.trained import TrainedExtractor, Training, digest_of


class DigitClassifier(TrainedExtractor):
    """128 features before the last layer of a small convolutional network, and its logits.

    Features are divided by their root mean square over the test images.

    For digits and other small images, where Inception's features say little. The network is trained once on
    the `train` split, with random shifts; it is cached with its accuracy on the `test` split, which stands
    beside every score. Scores from two classifiers do not compare.
    """

    class Config(Options):
        dataset: Annotated[Component, Reference("dataset")] = named("digits")
        """Labeled data set to learn from; it should be the one that the generator imitates."""
        steps: int = Field(1500, ge=1)
        """Training steps."""
        batch_size: int = Field(128, ge=2)
        """Images a step."""
        lr: float = Field(2e-3, gt=0)
        """Highest learning rate of AdamW, in one cycle."""
        shift: int = Field(2, ge=0)
        """Largest random shift in pixels during training."""
        seed: int = 0
        """Seed of the weights, the batches and the shifts."""

    folder, version = "classifiers", 1
    title = "training the classifier that judges samples"

    def __init__(self, config: Config) -> None:
        super().__init__(config)

    @property
    def name(self) -> str:
        return f"digit_classifier_{self.config.dataset.name}"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.record["classes"])

    @property
    def identity(self) -> str:
        return f"{self.name}-{self.record['weights']}-{self.record['scale']:.9g}"

    @property
    def notes(self) -> dict[str, str]:
        accuracy, count = self.record["accuracy"], self.record["test_images"]
        return {
            "network": f"small CNN trained on {self.config.dataset.name}, weights {self.record['weights']}",
            "network's own accuracy": f"{accuracy:.2f} % of {count:,} test images",
            "features": "128, before the last layer, in units of their root mean square",
            **self.adaptation(),
        }

    def __call__(self, images: Tensor) -> Features:
        assert isinstance(self.network, nn.Sequential)
        device = next(self.network.parameters()).device
        features = self.network[:-1](self.adapt(to_float(images.to(device))))
        return Features(features / self.record["scale"], self.network[-1](features))

    def splits(self, dataset: Any) -> tuple[Images, Images]:
        """Raises `UserError` where labels are missing."""
        train, test = dataset.split("train"), dataset.split("test")
        if train.labels is None or test.labels is None or not train.classes:
            raise UserError(
                f"a classifier needs labels, and data set '{self.config.dataset.name}' has none",
                help=['choose a labeled `dataset`, or feature_extractor = "inception" or "self_supervised"'],
            )
        return train, test

    def build(self, record: dict[str, Any]) -> nn.Sequential:
        return build_network(record["shape"][0], len(record["classes"]))

    def train(self, train: Images, test: Images, advance: Any) -> tuple[nn.Sequential, dict[str, Any]]:
        network = train_network(self.config, train, advance)
        return network, _describe(network, train, test)


def build_network(channels: int, classes: int) -> nn.Sequential:
    """C x H x W to 128 features, then a linear layer to the classes; any H and W from 8."""
    layers: list[nn.Module] = []
    for before, after in ((channels, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(2048, 128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, classes))


def train_network(config: DigitClassifier.Config, images: Images, advance: Any) -> nn.Sequential:
    """Cross-entropy of images that are randomly shifted."""

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        assert batch.labels is not None
        return F.cross_entropy(network(_shift(batch.images, config.shift)), batch.labels)

    training = Training(config, images)
    with training.seeded():
        network = build_network(images.spec.channels, images.spec.num_classes)
        training.run(network, loss, advance)
    return network


def _shift(images: Tensor, most: int) -> Tensor:
    """All images of a batch moved alike, by up to `most` pixels; the border is repeated."""
    if most == 0:
        return images
    x, y = torch.randint(0, 2 * most + 1, (2,)).tolist()
    padded = F.pad(images, [most] * 4, mode="replicate")
    return padded[..., y : y + images.shape[2], x : x + images.shape[3]]


@torch.no_grad()
def _describe(network: nn.Sequential, train: Images, test: Images) -> dict[str, Any]:
    assert test.labels is not None
    features = torch.cat([network[:-1](to_float(part)) for part in test.pixels.split(500)])
    guesses = network[-1](features).argmax(1)
    return {
        "classes": list(train.classes or ()),
        "shape": list(train.spec.shape),
        "accuracy": 100 * guesses.eq(test.labels).double().mean().item(),
        "test_images": len(test),
        # Without a unit, KID's kernel would say more about the length of the features than about images.
        "scale": features.square().mean().sqrt().item(),
        "weights": digest_of(network),
    }
