"""Names of the data sets and transforms. Imports none of them."""

from __future__ import annotations

from pluglab.registry import Registrar


def lab_register(registry: Registrar) -> None:
    """Kinds `dataset` and `transform`."""
    add = registry.add
    digits, transforms = "pluglab_datasets.digits", "pluglab_datasets.transforms"
    add(
        "dataset",
        "digits",
        f"{digits}:Digits",
        summary="1,797 handwritten digits of scikit-learn, no download",
    )
    add(
        "dataset",
        "digits_m",
        f"{digits}:DigitsM",
        summary="the same digits blended into colour photographs, no download",
        paper="arXiv:1505.07818",
    )
    add(
        "transform",
        "standardize",
        f"{transforms}:Standardize",
        summary="each image by its own mean and deviation",
    )
    add(
        "transform", "random_affine", f"{transforms}:RandomAffine", summary="random rotation, scale and shift"
    )
    add(
        "transform", "random_invert", f"{transforms}:RandomInvert", summary="random inversion of the contrast"
    )
    add("transform", "random_gain", f"{transforms}:RandomGain", summary="random gain and brightness")
    add("transform", "random_flip", f"{transforms}:RandomFlip", summary="random mirror image, left to right")
    add("transform", "to_grey", f"{transforms}:ToGrey", summary="every channel replaced by the image's luma")
