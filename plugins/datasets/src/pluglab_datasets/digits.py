"""Two small real data sets with a domain gap between them, from files that scikit-learn brings along.

Its import takes longer than all that is made of them, so they are made once and kept in the cache.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from pluglab.components import Options
from pluglab.data import Images, derived_seed
from pluglab.protocols import DataContext
from pluglab_datasets.blend import blend
from pluglab_datasets.prepared import Part, cached, prepared_folder
from pluglab_datasets.splits import pick

BAND = 128  # pixels; the photographs are cut into bands of this width, which alternate between the splits


class DigitsOptions(Options):
    size: int = Field(32, ge=8, le=BAND)
    """Height and width of the images, in pixels."""
    margin: int = Field(1, ge=0, le=8)
    """Blank rows and columns added around the original 8 x 8 digit before it is enlarged."""
    test_share: float = Field(0.25, gt=0, lt=1)
    """Share of the 1,797 digits that makes the test split, the same for every class."""


class DigitsMOptions(DigitsOptions):
    seed: int = 0
    """Chooses the photograph and the place in it that each digit is blended into."""


class Digits:
    """The 1,797 handwritten digits of scikit-learn (UCI, test part of Alpaydin and Kaynak 1998).

    8 x 8 pixels of 17 gray levels, enlarged with bicubic interpolation; one channel, white on black. The
    split is stratified and fixed. Needs no file and no network.
    """

    Config = DigitsOptions
    name = "digits"

    def __init__(self, config: DigitsOptions) -> None:
        self.config = config
        self.splits: dict[str, Images] = {}

    def prepare(self, context: DataContext) -> None:
        folder = prepared_folder(context, self.name, self.config.model_dump(), version("scikit-learn"))
        self.splits = cached(folder, lambda scratch: self._made())

    def _made(self) -> dict[str, Part]:
        rendered = {
            split: (self._render(digits, split), labels)
            for split, (digits, labels) in _halves(self.config).items()
        }
        return {split: Part(x, y, self._provenance(x)) for split, (x, y) in rendered.items()}

    def split(self, name: str) -> Images:
        return pick(self.splits, name, self.name)

    def _render(self, digits: np.ndarray, split: str) -> np.ndarray:
        return digits[:, None]

    def _provenance(self, pixels: np.ndarray) -> dict[str, Any]:
        return {"source": "sklearn.datasets.load_digits", "count": len(pixels)}


class DigitsM(Digits):
    """The digits of `digits` blended into two color photographs, as MNIST-M blends MNIST into BSDS500.

    |photograph - digit| for each channel (Ganin et al. 2016). The photographs come with scikit-learn; the
    two splits hold different digits, on crops from different parts of the photographs.
    """

    Config = DigitsMOptions
    name = "digits_m"
    config: DigitsMOptions

    def _render(self, digits: np.ndarray, split: str) -> np.ndarray:
        generator = np.random.default_rng(derived_seed(self.name, self.config.seed, split))
        return blend(digits, _bands(first=0 if split == "train" else 1), generator)

    def _provenance(self, pixels: np.ndarray) -> dict[str, Any]:
        photos = "sklearn.datasets.load_sample_images"
        return {**super()._provenance(pixels), "photographs": photos, "seed": self.config.seed}


def _halves(config: DigitsOptions) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """uint8 digits N x S x S and their labels, for each split."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    parts = train_test_split(
        _enlarge(data.images, config),
        data.target,
        test_size=config.test_share,
        stratify=data.target,
        random_state=0,
    )
    return {"train": (parts[0], parts[2]), "test": (parts[1], parts[3])}


def _enlarge(digits: np.ndarray, config: DigitsOptions) -> np.ndarray:
    """Gray levels 0..16, N x 8 x 8, to uint8 N x size x size."""
    framed = F.pad(torch.from_numpy(digits).float()[:, None], [config.margin] * 4)
    large = F.interpolate(framed, size=(config.size, config.size), mode="bicubic", antialias=True)
    return large[:, 0].mul(255 / 16).round().clamp(0, 255).to(torch.uint8).numpy()


def _bands(first: int) -> list[np.ndarray]:
    """Every second vertical band of each photograph, uint8 H x BAND x 3."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    return [p[:, x : x + BAND] for p in photos for x in range(first * BAND, p.shape[1] - BAND + 1, 2 * BAND)]
