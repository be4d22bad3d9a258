"""Names of the data sets and transforms. Imports none of them."""

from __future__ import annotations

from pluglab import Registrar

DANN = "arXiv:1505.07818"
DATASETS = [
    ("digits", "digits:Digits", "1,797 handwritten digits of scikit-learn, gray, no download", ""),
    ("digits_m", "digits:DigitsM", "the same digits blended into color photographs, no download", DANN),
    ("animals", "animals:Animals", "heads of eight animals, drawn, 64 x 64, color, no download", ""),
    ("mnist", "mnist:MNIST", "60,000 + 10,000 handwritten digits, 28 x 28, gray", ""),
    ("mnist_m", "mnist_m:MNISTM", "MNIST blended into photographs of BSDS500, 32 x 32, color", DANN),
    ("svhn", "svhn:SVHN", "73,257 + 26,032 digits of house numbers, 32 x 32, color", ""),
    ("usps", "usps:USPS", "7,291 + 2,007 digits of postcodes, 16 x 16, gray", ""),
    ("image_folder", "image_folder:ImageFolder", "any folder, tar or zip of images", ""),
    ("subset", "subset:Subset", "some classes of a data set, or a held-out share of its training images", ""),
]
TRANSFORMS = [
    ("standardize", "Standardize", "each image by its own mean and deviation"),
    ("zoom", "Zoom", "the middle of the image enlarged"),
    ("random_affine", "RandomAffine", "random rotation, scale and shift"),
    ("random_invert", "RandomInvert", "random inversion of the contrast"),
    ("random_gain", "RandomGain", "random gain and brightness"),
    ("random_flip", "RandomFlip", "random mirror image, left to right"),
    ("to_gray", "ToGray", "every channel replaced by the image's luma"),
]


def lab_register(registry: Registrar) -> None:
    """Kinds `dataset` and `transform`."""
    for name, target, summary, paper in DATASETS:
        registry.add("dataset", name, f"pluglab_datasets.{target}", summary=summary, paper=paper)
    for name, target, summary in TRANSFORMS:
        registry.add("transform", name, f"pluglab_datasets.transforms:{target}", summary=summary)
