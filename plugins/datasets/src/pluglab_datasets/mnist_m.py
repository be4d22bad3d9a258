"""MNIST-M (Ganin et al. 2016): MNIST blended into the photographs of BSDS500 (Arbelaez et al. 2011)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluglab.data import derived_seed
from pluglab.errors import UserError
from pluglab.protocols import DataContext
from pluglab_datasets import mnist
from pluglab_datasets.archives import read_photos, read_release
from pluglab_datasets.blend import blend
from pluglab_datasets.files import FoundFile, OfficialFile, find
from pluglab_datasets.prepared import DigitOptions, Part, PreparedDataset, center

PHOTOS = OfficialFile(
    "BSR_bsds500.tgz",
    ("https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz",),
    unpacked=("BSR",),
)
# The release is at no address that a program can fetch from, so it is read where it is present.
RELEASE = OfficialFile("MNIST-M/mnist_m.tar.gz", (), unpacked=("MNIST-M/mnist_m",))
RELEASED, BUILT = {"train": 59_001, "test": 9_001}, {"train": 60_000, "test": 10_000}


class MNISTMOptions(DigitOptions):
    train: str = "auto"
    """Training images: the original 'release', 'built' here, 'auto' (the release if its file is there), or
    the path of a copy of the release: .tar.gz, a folder, or .npz with `images` and `labels`."""
    test: str = "auto"
    """Test images, likewise."""
    seed: int = 0
    """Chooses the photograph and the place in it that each digit is blended into, where images are built."""
    binary: bool = True
    """Make every pixel of a digit that is not black white before it is blended, as in the release, whose
    strokes have no soft edge. Without, the edges of a stroke are dark outlines."""


class MNISTM(PreparedDataset):
    """MNIST-M: MNIST blended into crops of BSDS500 photographs (Ganin et al. 2016), three channels.

    Reads the original release for the splits whose file is there, and builds the others from MNIST and
    BSDS500: training digits on training photographs, test digits on test photographs. As in the release, an
    image is 32 x 32 with the 28 x 28 digit in its middle; size 28 is the middle of it.
    """

    Config = MNISTMOptions
    name = "mnist_m"
    config: MNISTMOptions

    def files(self, context: DataContext) -> list[OfficialFile]:
        chosen = {"train": self.config.train, "test": self.config.test}
        self.sources = {split: _source(choice, context) for split, choice in chosen.items()}
        self.official = {s: (BUILT if source is None else RELEASED)[s] for s, source in self.sources.items()}
        built = [PHOTOS, *mnist.FILES] if None in self.sources.values() else []
        return [*built, *(source for source in self.sources.values() if source is not None)]

    def read(self, files: list[FoundFile], context: DataContext) -> dict[str, Part]:
        built = [split for split, source in self.sources.items() if source is None]
        copies = iter(files[1 + len(mnist.FILES) :] if built else files)
        parts = self._build(built, files, context) if built else {}
        parts |= {s: self._release(s, next(copies)) for s in self.sources if s not in built}
        return {split: parts[split] for split in self.sources}

    def _release(self, split: str, file: FoundFile) -> Part:
        pixels, labels = read_release(file.path, split)
        return Part(center(pixels, self.config.size), labels, {"source": "the original release"})

    def _build(self, splits: list[str], files: list[FoundFile], context: DataContext) -> dict[str, Part]:
        photos = read_photos(files[0].path, splits, context.track)
        digits = mnist.read_mnist(files[1 : 1 + len(mnist.FILES)])
        return {split: self._blended(split, *digits[split], photos[split]) for split in splits}

    def _blended(self, split: str, digits: np.ndarray, labels: np.ndarray, photos: list[np.ndarray]) -> Part:
        generator = np.random.default_rng(derived_seed(self.name, self.config.seed, split))
        digits = np.where(digits > 0, np.uint8(255), np.uint8(0)) if self.config.binary else digits
        pixels = blend(center(digits, 32), photos, generator)
        return Part(center(pixels, self.config.size), labels, self._recipe(split, len(photos)))

    def _recipe(self, split: str, photos: int) -> dict[str, Any]:
        source = f"built from the {split} digits of MNIST on {photos} {split} photographs of BSDS500"
        return {"source": source, "seed": self.config.seed, "binary": self.config.binary}


def _source(choice: str, context: DataContext) -> OfficialFile | None:
    """The file that a split is read from; None where it is to be built. Raises `UserError`."""
    if choice == "built" or (choice == "auto" and find(RELEASE, context) is None):
        return None
    if choice in ("auto", "release"):
        return RELEASE
    place = next((place.resolve() for place in context.places(choice) if place.exists()), None)
    if place is None:
        help = ["write 'auto', 'release', 'built', or the path of a copy of the release"]
        raise UserError(f"there is no '{choice}'", help=help)
    return OfficialFile(str(place), (), unpacked=(str(place),))
