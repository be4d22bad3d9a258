"""A small network that learns to tell images of a data set apart, and no labels, for scores of any images.

SimCLR (Chen et al. 2020, arXiv:2002.05709): two random views of an image should be nearer to each other than
to the views of all others of a batch. That such networks serve for scores of generated images where Inception
does not: Morozov et al. 2021 (On self-supervised image representations for GAN evaluation, ICLR).
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pluglab import Batch
from pluglab.components import Component, Options, Reference
from pluglab.data import Images, derived_seed, to_float
from pluglab.errors import UserError
from pluglab_datasets.transforms import RandomAffine, RandomGain
from pluglab_metrics.corruptions import MODES, clusters, follows, scored
from pluglab_metrics.extractors.base import Features
from pluglab_metrics.extractors.trained import TrainedExtractor, Training, digest_of
from pluglab_metrics.scores.frechet import RunningGaussian, frechet_distance

WIDTHS = (24, 48, 96)  # channels of the blocks
PROJECTED = 64
PARTS = (*WIDTHS, PROJECTED, WIDTHS[0])  # of the features
FAINT = 1e-3  # deviation of details that is as good as none; images are in [-1, 1]
TRIED = 1600  # images that the record's validity is measured on
SEEDS = (0, 1)


class SelfSupervised(TrainedExtractor):
    """What a small convolutional network answers that has learned by contrast, without labels.

    Its blocks see strokes, parts and whole figures, and its projection what makes an image unlike the others;
    how strongly the first filters answer to what is left of an image without its surroundings' mean says how
    sharp and how noisy it is. It is trained once, on the `train` split. How well it tells images apart,
    and how well FID in its features follows blur, noise, JPEG, duplicates and dropped modes, is measured
    then and stands beside every score. Scores from two such networks do not compare.
    """

    class Config(Options):
        dataset: Annotated[Component, Reference("dataset")]
        """Data set to learn from, labeled or not: the one that the generator imitates."""
        steps: int = Field(300, ge=1)
        """Training steps."""
        batch_size: int = Field(64, ge=2)
        """Images a step, of which there are two views each."""
        lr: float = Field(3e-3, gt=0)
        """Highest learning rate of AdamW, in one cycle."""
        temperature: float = Field(0.2, gt=0)
        """Of the contrastive loss: how much the most similar of the other images count."""
        seed: int = 0
        """Seed of the weights, the batches and the views."""

    folder, version = "self_supervised", 1
    title = "training the network that looks at samples"
    classes = None

    def __init__(self, config: Config) -> None:
        super().__init__(config)

    @property
    def name(self) -> str:
        return f"self_supervised_{self.config.dataset.name}"

    @property
    def identity(self) -> str:
        return f"{self.name}-{self.record['weights']}"

    @property
    def notes(self) -> dict[str, str]:
        record = self.record
        follow = ", ".join(f"{name} {value:.2f}" for name, value in record["follows"].items())
        tried = f"{record['tried']:,} {record['split']} images"
        return {
            "network": f"SimCLR trained on {self.config.dataset.name}, weights {record['weights']}",
            "views of one image found": f"{record['found']:.1f} % of {tried}",
            "FID follows": f"{follow} (Spearman, {record['scored']:,} images)",
            "features": f"{sum(PARTS)}: means over the image of {len(WIDTHS)} blocks, projection, details",
            **self.adaptation(),
        }

    def __call__(self, images: Tensor) -> Features:
        assert isinstance(self.network, Network)
        device = self.network.units.device
        return Features(self.network.features(self.adapt(to_float(images.to(device)))))

    def splits(self, dataset: Any) -> tuple[Images, Images]:
        """The training images, and test images where there are any."""
        train = dataset.split("train")
        try:
            return train, dataset.split("test")
        except UserError:  # as of a folder with nothing held out
            return train, train

    def build(self, record: dict[str, Any]) -> Network:
        return Network(record["shape"][0])

    def train(self, train: Images, test: Images, advance: Any) -> tuple[Network, dict[str, Any]]:
        network = train_network(self.config, train, advance)
        with torch.no_grad():
            return network, describe(network, train, test)


class Network(nn.Module):
    """Three blocks of a convolution each; any H and W from 8."""

    units: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        pairs = zip((channels, *WIDTHS), WIDTHS, strict=False)
        self.blocks = nn.ModuleList(_block(before, after) for before, after in pairs)
        last = WIDTHS[-1]
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(16 * last, last), nn.ReLU(), nn.Linear(last, PROJECTED)
        )
        self.register_buffer("units", torch.ones(len(PARTS)))

    def maps(self, images: Tensor) -> list[Tensor]:
        """What each block answers, N x C x H x W, from details to whole figures."""
        found = []
        for block in self.blocks:
            images = block(images)
            found.append(images)
            images = F.avg_pool2d(images, 2)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors N x 64, in which views of one image should be near."""
        return self.projected(self.maps(images)[-1])

    def projected(self, maps: Tensor) -> Tensor:
        return F.normalize(self.head(F.adaptive_avg_pool2d(maps, 4)).float(), dim=1)

    def features(self, images: Tensor) -> Tensor:
        """N x 256."""
        answers = self.maps(images)
        means = [maps.mean((2, 3)) for maps in answers]
        parts = [*means, self.projected(answers[-1]), self.details(images)]
        return torch.cat([part / unit for part, unit in zip(parts, self.units, strict=True)], dim=1)

    def details(self, images: Tensor) -> Tensor:
        """N x 24: the logarithm of the deviation, over the image, of the first filters' answers to the image
        less its mean over 3 x 3. Activations see it barely: a little noise is much where there was none."""
        around = F.avg_pool2d(F.pad(images, [1] * 4, mode="replicate"), 3, stride=1)
        filters: Any = self.blocks[0]
        answers = F.conv2d(images - around, filters[0].weight, padding=1)
        return (answers.std((2, 3)) + FAINT).log()


def _block(before: int, after: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """-log of the share of exp(similarity / temperature) that a view's partner has among all others, mean
    over all views (Chen et al. 2020, eq. 1). Unit vectors N x d: row i of both are views of one image."""
    views = torch.cat([first, second])
    similar = views @ views.T / temperature
    similar = similar.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(similar, partner)


class Views:
    """Random views of images: turned, scaled and shifted, brighter or darker in each channel. Nothing that a
    score should see, as blur or noise, is among it."""

    def __init__(self) -> None:
        self.turn = RandomAffine(RandomAffine.Config(rotation=10, scale=0.15, shift=0.1))
        self.gain = RandomGain(RandomGain.Config(gain=0.3, brightness=0.2, per_channel=True))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return self.gain(self.turn(images, generator), generator)


def train_network(config: SelfSupervised.Config, images: Images, advance: Any) -> Network:
    """The loss of two views of each image of a batch."""
    training, views = Training(config, images), Views()
    generator = torch.Generator(training.device).manual_seed(derived_seed("views", config.seed))

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        both = torch.cat([views(batch.images, generator) for _ in range(2)])
        first, second = network(both).chunk(2)
        return nt_xent(first, second, config.temperature)

    with training.seeded():
        network = Network(images.spec.channels)
        training.run(network, loss, advance)
    return network


# How good it is ----------------------------------------------------------------------------------------


def describe(network: Network, train: Images, test: Images) -> dict[str, Any]:
    """Sets the units of the blocks, and says what the network is worth."""
    generator = torch.Generator().manual_seed(0)
    chosen = train.pixels[torch.randperm(len(train), generator=generator)[:TRIED].sort().values]
    *means, details = _features(network, chosen).split(PARTS, dim=1)
    units = [*(mean.square().mean().sqrt() for mean in means), details.std(0).mean()]
    network.units.copy_(torch.stack(units).clamp(min=1e-8))
    tried = min(500, len(test))
    return {
        "shape": list(train.spec.shape),
        "weights": digest_of(network),
        "found": 100 * found_again(network, test.pixels[:tried]),
        "tried": tried,
        "split": "training" if test is train else "test",
        "scored": len(chosen) // 4,
        "follows": validity(network, chosen),
    }


def _features(network: Network, pixels: Tensor) -> Tensor:
    return torch.cat([network.features(to_float(part)) for part in pixels.split(200)])


def found_again(network: Network, pixels: Tensor) -> float:
    """Share of images of which one view is nearer to the other view than to those of all others."""
    views, generator = Views(), torch.Generator().manual_seed(0)
    first, second = (network(views(to_float(pixels), generator)) for _ in range(2))
    return (first @ second.T).argmax(1).eq(torch.arange(len(pixels))).double().mean().item()


def validity(network: Network, pixels: Tensor) -> dict[str, float]:
    """How FID follows corruptions: a quarter of the images against equally many of the others."""
    count = len(pixels) // 4
    if count < MODES:
        return {}
    reference, pool = _gaussian(network, pixels[::4]), pixels[torch.arange(len(pixels)) % 4 != 0]
    scores = scored(
        lambda images: frechet_distance(reference, _gaussian(network, images)),
        pool,
        clusters(pool),
        count,
        SEEDS,
    )
    return follows(scores)


def _gaussian(network: Network, pixels: Tensor) -> Any:
    gaussian = RunningGaussian()
    gaussian.update(_features(network, pixels))
    return gaussian.compute()
