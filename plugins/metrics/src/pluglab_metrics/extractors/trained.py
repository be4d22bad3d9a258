"""What extractors share that are trained once on a data set: cache, record, images of another shape."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluglab.components import dump_options
from pluglab.data import Images, Stream
from pluglab.images import ImageSpec
from pluglab.protocols import DataContext
from pluglab.storage.atomic import replacing
from pluglab.training import native_bf16
from pluglab_metrics.extractors.base import require_colors
from pluglab_metrics.kept import load_kept


class TrainedExtractor(ABC):
    """A network that is made from a data set's splits, kept in the cache under a hash of their content and of
    the options. Its `record` is all that is known of it: at least `shape`, what it was trained on."""

    folder: ClassVar[str]
    """Of the cache."""
    title: ClassVar[str]
    """What the progress bar says."""
    version: ClassVar[int]
    """Of the network and its training; another number makes cached ones stale."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.record: dict[str, Any] = {}
        self.network: nn.Module | None = None

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def splits(self, dataset: Any) -> tuple[Images, Images]:
        """To learn from and to be tested on, of a prepared data set. Raises `UserError`."""

    @abstractmethod
    def build(self, record: dict[str, Any]) -> nn.Module:
        """The network without its weights."""

    @abstractmethod
    def train(self, train: Images, test: Images, advance: Any) -> tuple[nn.Module, dict[str, Any]]:
        """The network and its record; `advance` is told of steps done."""

    def prepare(self, context: DataContext) -> None:
        """Load the network from the cache, or train and cache it."""
        if self.network is None:
            dataset = self.config.dataset.build()
            dataset.prepare(context)
            train, test = self.splits(dataset)
            path = context.cache / self.folder / f"{self._key(train, test)}.pt"
            saved = load_kept(path, {"network", "record"}, "trained again") or self._save(
                train, test, context, path
            )
            self.record = saved["record"]
            with torch.device("meta"):  # draws no initial weights, so that no random number is used up
                self.network = self.build(self.record)
            self.network.load_state_dict(saved["network"], assign=True)
            self.network.eval().requires_grad_(False)

    def _key(self, train: Images, test: Images) -> str:
        """A name for what the options make of these images, wherever they lie."""
        options = dump_options(self.config) | {"dataset": [train.digest, test.digest]}
        digest = hashlib.sha256(json.dumps([self.version, options], sort_keys=True).encode())
        return f"{self.config.dataset.name}-{digest.hexdigest()[:16]}"

    def _save(self, train: Images, test: Images, context: DataContext, path: Path) -> dict[str, Any]:
        with context.track(self.title, self.config.steps) as bar:
            network, record = self.train(train, test, bar.advance)
        saved = {"network": network.state_dict(), "record": record}
        with replacing(path) as temporary:
            torch.save(saved, temporary)
        return saved

    def check(self, spec: ImageSpec) -> None:
        """Raises `UserError` for images that are neither gray nor in color, nor like those it has learned."""
        own = self.record["shape"][0]
        if spec.channels != own:
            require_colors(spec, self.name)
            require_colors(replace(spec, channels=own), self.name)

    def to(self, device: torch.device) -> None:
        assert self.network is not None
        self.network.to(device)

    def adapt(self, images: Tensor) -> Tensor:
        """Float images to the size and the channels that the network was trained with."""
        channels, *size = self.record["shape"]
        if images.shape[1] != channels:
            weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
            gray = images if images.shape[1] == 1 else (images * weights).sum(1, keepdim=True)
            images = gray.expand(-1, channels, -1, -1)
        if list(images.shape[2:]) != size:
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
        return images

    def adaptation(self) -> dict[str, str]:
        """The same for a protocol."""
        channels, height, width = self.record["shape"]
        return {
            "resizing": f"bilinear with antialiasing to {height} x {width} if of another size",
            "channels": "gray" if channels == 1 else "color",
        }


class Training:
    """Steps of AdamW at a one-cycle rate; on a GPU where there is one, in bf16 where native. The same seed
    gives the same network on one machine."""

    def __init__(self, config: Any, images: Images) -> None:
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.stream = Stream(
            images,
            "judge",
            seed=config.seed,
            batch_size=config.batch_size,
            device=self.device,
            channels_last=True,
        )

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Gradients on, and random numbers of the option's seed; those of others stay as they were."""
        devices = [torch.cuda.current_device()] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.enable_grad():
            torch.manual_seed(self.config.seed)
            yield

    def run(self, network: nn.Module, loss: Any, advance: Any) -> nn.Module:
        """`loss(network, batch)` is descended."""
        network = network.train().to(self.device).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(network.parameters(), self.config.lr, weight_decay=0.01)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.config.lr, total_steps=self.config.steps)
        mixed = torch.autocast(self.device.type, torch.bfloat16, enabled=native_bf16(self.device.type)[0])
        for step in range(self.config.steps):
            batch = self.stream.batch(step)
            with mixed:
                value = loss(network, batch)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            cycle.step()
            advance(1)
        return network.cpu().to(memory_format=torch.contiguous_format).eval()


def digest_of(network: nn.Module) -> str:
    """First digits of a hash of all weights and statistics."""
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]
