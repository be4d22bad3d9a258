"""The Inception network of the published scores (Szegedy et al. 2016; Heusel et al. 2017).

These are the TensorFlow weights of 2015-12-05 converted to PyTorch. TensorFlow's graph differs from
torchvision's network in three places. Padding does not count in average pooling, the last block pools the
maximum, and images are resized without aligning pixel centers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torchvision.models import Inception3
from torchvision.models.inception import InceptionA, InceptionC, InceptionE

from pluglab.components import Options
from pluglab.errors import UserError
from pluglab.images import ImageSpec
from pluglab.protocols import DataContext
from pluglab_metrics.extractors.base import Features, require_colors

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SIZE = 299
RESIZING = {
    "tensorflow": f"bilinear to {SIZE} x {SIZE} as TensorFlow 1, no antialiasing",
    "pytorch": f"bilinear to {SIZE} x {SIZE} as pytorch-fid, no antialiasing",
    "clean": f"bicubic with antialiasing to {SIZE} x {SIZE}, as clean-fid",
}


class Inception:
    """Inception-v3's 2,048 pooled features, as FID, KID and precision and recall are published with.

    Logits are those without the bias, as the reference implementations of the Inception Score take them.
    """

    class Config(Options):
        url: str = URL
        """Where the weights (91 MB) are downloaded from when neither data root nor cache has them."""
        sha256: str = Field("6726825d", pattern="^[0-9a-f]{8,64}$")
        """First digits of the weights' SHA-256; other weights would give scores that compare with nothing."""
        resizing: Literal["tensorflow", "pytorch", "clean"] = "tensorflow"
        """How images become 299 x 299: as the original FID does, as pytorch-fid, or as clean-fid, antialiased
        (Parmar et al. 2022). Scores of two ways say nothing of each other."""

    classes: tuple[str, ...] | None = None
    name = "inception"

    def __init__(self, config: Config) -> None:
        self.config = config
        way = "" if config.resizing == "tensorflow" else f"-{config.resizing}"
        self.identity = f"inception-{config.sha256}{way}"
        self.notes = {
            "network": f"Inception-v3 (TensorFlow, 2015-12-05), sha256 {config.sha256[:8]}...",
            "features": "2048, after average pooling",
            "resizing": RESIZING[config.resizing],
        }
        self.network: nn.Module | None = None

    def prepare(self, context: DataContext) -> None:
        """Load the weights from the data root, the cache or the network."""
        if self.network is None:
            self.network = load_network(find_weights(self.config, context))

    def check(self, spec: ImageSpec) -> None:
        """Raises `UserError` for images that are neither gray nor in color."""
        require_colors(spec, self.name)

    def to(self, device: torch.device) -> None:
        assert self.network is not None
        self.network.to(device)

    def __call__(self, images: Tensor) -> Features:
        assert self.network is not None
        features, logits = self.network(images, self.config.resizing)
        return Features(features, logits)


class Network(nn.Module):
    """uint8 N x C x H x W to features N x 2048 and logits N x 1008."""

    def __init__(self) -> None:
        super().__init__()
        self.body = inception_body()
        self.body.fc = nn.Identity()
        self.fc = nn.Linear(2048, 1008)

    def forward(self, images: Tensor, resizing: str = "tensorflow") -> tuple[Tensor, Tensor]:
        images = images.to(self.fc.weight.device).expand(-1, 3, -1, -1).float()
        features = self.body(network_input(images, resizing))
        return features, F.linear(features, self.fc.weight)


def inception_body() -> Inception3:
    """torchvision's network with the blocks of TensorFlow's."""
    net = Inception3(num_classes=1008, aux_logits=False, transform_input=False, init_weights=False)
    net.Mixed_5b, net.Mixed_5c = _BlockA(192, 32), _BlockA(256, 64)
    net.Mixed_5d = _BlockA(288, 64)
    net.Mixed_6b, net.Mixed_6c = _BlockC(768, 128), _BlockC(768, 160)
    net.Mixed_6d, net.Mixed_6e = _BlockC(768, 160), _BlockC(768, 192)
    net.Mixed_7b, net.Mixed_7c = _BlockE(1280), _LastBlock(2048)
    return net


def _mean_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _BlockA(InceptionA):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_mean_pool(x))]


class _BlockC(InceptionC):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_mean_pool(x))]


class _BlockE(InceptionE):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_mean_pool(x))]


class _LastBlock(InceptionE):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1))]


def network_input(images: Tensor, resizing: str) -> Tensor:
    """Float images 0 to 255 resized and scaled to about [-1, 1], in one of three ways.

    pytorch-fid scales by 2 / 255, the others by 1 / 128.
    """
    if resizing == "pytorch":
        return F.interpolate(images / 255, (SIZE, SIZE), mode="bilinear", align_corners=False) * 2 - 1
    if resizing == "clean":
        resized = F.interpolate(images, (SIZE, SIZE), mode="bicubic", antialias=True).clamp(0, 255)
        return (resized - 128) / 128
    return (resize(images, SIZE) - 128) / 128


def resize(images: Tensor, size: int) -> Tensor:
    """Bilinear to size x size as TensorFlow 1 does it: output pixel i reads input position i x in / out."""
    height, width = (_weights(length, size).to(images) for length in images.shape[2:])
    return height @ images @ width.T


def _weights(length: int, size: int) -> Tensor:
    """size x length matrix of linear interpolation."""
    position = torch.arange(size) * (length / size)
    low = position.floor().long()
    share = (position - low).unsqueeze(1)
    upper = F.one_hot((low + 1).clamp(max=length - 1), length)
    return (1 - share) * F.one_hot(low, length) + share * upper


def find_weights(config: Inception.Config, context: DataContext) -> Path:
    """The checked weight file. Raises `UserError` where it is nowhere, or not the right one."""
    places = [root / FILE for root in (context.root, context.cache / "weights") if root is not None]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return _download(config, places[-1], context)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(config.sha256):
        raise UserError(
            f"{path} is not the expected Inception network: its SHA-256 begins with {found[:8]}, "
            f"not {config.sha256[:8]}",
            help=[f"delete the file and let it be downloaded again, or fetch it from {config.url}"],
        )
    return path


def _download(config: Inception.Config, path: Path, context: DataContext) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with context.track("downloading the Inception network, 91 MB", 1) as bar:
            torch.hub.download_url_to_file(config.url, str(path), hash_prefix=config.sha256, progress=False)
            bar.advance()
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the Inception weights cannot be downloaded: {error}",
            help=[
                f"fetch {config.url} elsewhere and put it into the data root or at {path}",
                'or choose another extractor: feature_extractor = "digit_classifier"',
            ],
        ) from error
    return path


def load_network(path: Path) -> Network:
    """The network with the weights of this file. Raises `UserError` for a file that holds something else."""
    with torch.device("meta"):  # draws no initial weights, so that no random number is used up
        network = Network()
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        renamed = {key if key.startswith("fc.") else f"body.{key}": value for key, value in state.items()}
        network.load_state_dict(renamed, assign=True)
    except Exception as error:
        raise UserError(
            f"{path} does not hold the Inception network: {str(error).splitlines()[0]}",
            help=["delete the file and let it be downloaded again"],
        ) from error
    return network.eval().requires_grad_(False)
