"""MNIST-M (Ganin et al. 2016): MNIST blended into the photographs of BSDS500 (Arbelaez et al. 2011)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from pluglab.data import derived_seed
from pluglab.protocols import DataContext
from pluglab_datasets import mnist
from pluglab_datasets.archives import read_photos, read_release
from pluglab_datasets.blend import blend
from pluglab_datasets.files import FoundFile, OfficialFile, find
from pluglab_datasets.prepared import DigitOptions, Part, PreparedDataset, center

PHOTOS = OfficialFile(
    "BSR_bsds500.tgz",
    tuple(
        f"{host}/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz"
        for host in ("https://www2.eecs.berkeley.edu", "http://www.eecs.berkeley.edu")
    ),
)
# The release is at no address that a program can fetch from, so it is read where it is present.
TAR = ("MNIST-M/mnist_m.tar.gz", None)
RELEASES = {
    "train": OfficialFile("MNIST-M/release_train.npz", (), others=(TAR,)),
    "test": OfficialFile(
        "MNIST-M/release_test.npz", (), others=(TAR, ("MNIST-M/release_test_first5000.npz", None))
    ),
}
COUNTS = {"release": {"train": 59_001, "test": 9_001}, "built": {"train": 60_000, "test": 10_000}}
Choice = Literal["auto", "release", "built"]


class MNISTMOptions(DigitOptions):
    train: Choice = "auto"
    """Training images: the original 'release', 'built' here, or 'auto': the release if its file is there."""
    test: Choice = "auto"
    """Test images: the original 'release', 'built' here, or 'auto': the release if its file is there."""
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
        self.sources = {"train": self._source("train", context), "test": self._source("test", context)}
        self.official = {split: COUNTS[source][split] for split, source in self.sources.items()}
        built = [PHOTOS, *mnist.FILES] if "built" in self.sources.values() else []
        return [*built, *(RELEASES[split] for split in self._from("release"))]

    def _source(self, split: Literal["train", "test"], context: DataContext) -> str:
        choice = self.config.train if split == "train" else self.config.test
        if choice != "auto":
            return choice
        return "built" if find(RELEASES[split], context) is None else "release"

    def _from(self, source: str) -> list[str]:
        return [split for split, its in self.sources.items() if its == source]

    def read(self, files: list[FoundFile], context: DataContext) -> dict[str, Part]:
        released = self._from("release")
        parts = {
            s: self._release(s, file)
            for s, file in zip(released, files[len(files) - len(released) :], strict=True)
        }
        if len(released) < len(self.sources):
            parts |= self._build(files[0], files[1:5], context)
        return {split: parts[split] for split in self.sources}

    def _release(self, split: str, file: FoundFile) -> Part:
        pixels, labels = read_release(file.path, split)
        return Part(center(pixels, self.config.size), labels, {"source": "the original release"})

    def _build(self, archive: FoundFile, digits: list[FoundFile], context: DataContext) -> dict[str, Part]:
        splits, mnist_digits = self._from("built"), mnist.read_mnist(digits)
        photos = read_photos(archive.path, splits, context.track)
        return {split: self._blended(split, *mnist_digits[split], photos[split]) for split in splits}

    def _blended(self, split: str, digits: np.ndarray, labels: np.ndarray, photos: list[np.ndarray]) -> Part:
        generator = np.random.default_rng(derived_seed(self.name, self.config.seed, split))
        digits = np.where(digits > 0, np.uint8(255), np.uint8(0)) if self.config.binary else digits
        pixels = blend(center(digits, 32), photos, generator)
        return Part(center(pixels, self.config.size), labels, self._recipe(split, len(photos)))

    def _recipe(self, split: str, photos: int) -> dict[str, Any]:
        source = f"built from the {split} digits of MNIST on {photos} {split} photographs of BSDS500"
        return {"source": source, "seed": self.config.seed, "binary": self.config.binary}
