"""A small classifier that is trained once on a data set's training images and then judges generated ones."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pluglab.components import Component, Options, Reference, dump_options, named
from pluglab.data import Images, Stream, to_float
from pluglab.errors import UserError
from pluglab.images import ImageSpec
from pluglab.protocols import DataContext
from pluglab.storage.atomic import replacing
from pluglab.training import native_bf16
from pluglab_metrics.extractors.base import Features, require_colors

VERSION = 1  # of the network and its training; another number makes cached classifiers stale


class DigitClassifier:
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

    def __init__(self, config: Config) -> None:
        self.config = config
        self.name = f"digit_classifier_{config.dataset.name}"
        self.record: dict[str, Any] = {}
        self.network: nn.Module | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.record["classes"])

    @property
    def identity(self) -> str:
        return f"{self.name}-{self.record['weights']}-{self.record['scale']:.9g}"

    @property
    def notes(self) -> dict[str, str]:
        channels, height, width = self.record["shape"]
        accuracy, count = self.record["accuracy"], self.record["test_images"]
        return {
            "network": f"small CNN trained on {self.config.dataset.name}, weights {self.record['weights']}",
            "network's own accuracy": f"{accuracy:.2f} % of {count:,} test images",
            "features": "128, before the last layer, in units of their root mean square",
            "resizing": f"bilinear with antialiasing to {height} x {width} if of another size",
            "channels": "gray" if channels == 1 else "color",
        }

    def prepare(self, context: DataContext) -> None:
        """Load the classifier from the cache, or train and cache it."""
        if self.network is None:
            train, test = self._images(context)
            path = context.cache / "classifiers" / f"{self._key(train, test)}.pt"
            saved = _load(path) or self._train(train, test, context, path)
            self.record = saved["record"]
            with torch.device("meta"):  # draws no initial weights, so that no random number is used up
                self.network = build_network(self.record["shape"][0], len(self.record["classes"]))
            self.network.load_state_dict(saved["network"], assign=True)
            self.network.eval().requires_grad_(False)

    def check(self, spec: ImageSpec) -> None:
        """Raises `UserError` for images that are neither gray nor in color, nor like those it has learned."""
        own = self.record["shape"][0]
        if spec.channels != own:
            require_colors(spec, self.name)
            require_colors(replace(spec, channels=own), self.name)

    def to(self, device: torch.device) -> None:
        assert self.network is not None
        self.network.to(device)

    def __call__(self, images: Tensor) -> Features:
        assert isinstance(self.network, nn.Sequential)
        device = next(self.network.parameters()).device
        features = self.network[:-1](self._adapt(to_float(images.to(device))))
        return Features(features / self.record["scale"], self.network[-1](features))

    def _adapt(self, images: Tensor) -> Tensor:
        """To the size and the channels that the network was trained with."""
        channels, *size = self.record["shape"]
        if images.shape[1] != channels:
            weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
            gray = images if images.shape[1] == 1 else (images * weights).sum(1, keepdim=True)
            images = gray.expand(-1, channels, -1, -1)
        if list(images.shape[2:]) != size:
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
        return images

    def _key(self, train: Images, test: Images) -> str:
        """A name for what the options make of these images, wherever they lie."""
        options = dump_options(self.config) | {"dataset": [train.digest, test.digest]}
        digest = hashlib.sha256(json.dumps([VERSION, options], sort_keys=True).encode())
        return f"{self.config.dataset.name}-{digest.hexdigest()[:16]}"

    def _images(self, context: DataContext) -> tuple[Images, Images]:
        """To learn from and to be tested on. Raises `UserError` where labels are missing."""
        dataset = self.config.dataset.build()
        dataset.prepare(context)
        train, test = dataset.split("train"), dataset.split("test")
        if train.labels is None or test.labels is None or not train.classes:
            raise UserError(
                f"a classifier needs labels, and data set '{self.config.dataset.name}' has none",
                help=['choose a labeled `dataset`, or feature_extractor = "inception"'],
            )
        return train, test

    def _train(self, train: Images, test: Images, context: DataContext, path: Path) -> dict[str, Any]:
        with context.track("training the classifier that judges samples", self.config.steps) as bar:
            network = train_network(self.config, train, bar.advance)
        saved = {"network": network.state_dict(), "record": _describe(network, train, test)}
        with replacing(path) as temporary:
            torch.save(saved, temporary)
        return saved


def build_network(channels: int, classes: int) -> nn.Sequential:
    """C x H x W to 128 features, then a linear layer to the classes; any H and W from 8."""
    layers: list[nn.Module] = []
    for before, after in ((channels, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(2048, 128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, classes))


def train_network(config: DigitClassifier.Config, images: Images, advance: Any) -> nn.Sequential:
    """Cross-entropy, AdamW and a one-cycle rate; on a GPU where there is one, bf16 where native."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stream = Stream(
        images, "judge", seed=config.seed, batch_size=config.batch_size, device=device, channels_last=True
    )
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=native_bf16(device.type)[0])
    with torch.random.fork_rng(devices), torch.enable_grad():
        torch.manual_seed(config.seed)
        network = build_network(images.spec.channels, images.spec.num_classes).train()
        network = network.to(device).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(network.parameters(), config.lr, weight_decay=0.01)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.steps)
        for step in range(config.steps):
            batch = stream.batch(step)
            assert batch.labels is not None
            with mixed:
                loss = F.cross_entropy(network(_shift(batch.images, config.shift)), batch.labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            cycle.step()
            advance(1)
    return network.cpu().to(memory_format=torch.contiguous_format).eval()


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
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return {
        "classes": list(train.classes or ()),
        "shape": [train.spec.channels, train.spec.height, train.spec.width],
        "accuracy": 100 * guesses.eq(test.labels).double().mean().item(),
        "test_images": len(test),
        # Without a unit, KID's kernel would say more about the length of the features than about images.
        "scale": features.square().mean().sqrt().item(),
        "weights": digest.hexdigest()[:8],
    }


def _load(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        return saved if {"network", "record"} <= saved.keys() else None
    except Exception as error:
        warnings.warn(f"{path} cannot be read ({type(error).__name__}); training it again", stacklevel=2)
        return None
