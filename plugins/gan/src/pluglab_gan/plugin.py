"""What this distribution registers. Imports nothing heavy: targets are loaded when they are used."""

from pluglab import Registrar
from pluglab.capabilities import (
    Classifies,
    Diagnoses,
    Generates,
    HasNetworks,
    HasSampling,
    Samples,
    SamplesClasses,
)

_HERE = "pluglab_gan"
_GAN: tuple[type, ...] = (Samples, Generates, Diagnoses, HasNetworks)


def lab_register(registry: Registrar) -> None:
    """Trainers of adversarial generators, and the losses that they share (kind `gan_loss`)."""
    what = "what a discriminator and a generator descend"
    protocol, checks = f"{_HERE}.losses:AdversarialLoss", f"{_HERE}.checks"
    registry.kind("gan_loss", protocol=protocol, summary=what, checks=checks)
    _trainers(registry)
    _losses(registry)


def _trainers(registry: Registrar) -> None:
    add = registry.add
    what = "transposed convolutions against convolutions"
    add("trainer", "dcgan", f"{_HERE}.dcgan:DCGAN", summary=what, paper="arXiv:1511.06434", can=_GAN)
    what = "DCGAN whose discriminator is Lipschitz by spectral normalization"
    add("trainer", "sngan", f"{_HERE}.sngan:SNGAN", summary=what, paper="arXiv:1802.05957", can=_GAN)
    what = "spectral normalization and self-attention in both networks"
    add("trainer", "sagan", f"{_HERE}.sagan:SAGAN", summary=what, paper="arXiv:1805.08318", can=_GAN)
    what, where = "styles in every layer, two lazy regularizers", f"{_HERE}.stylegan2:StyleGAN2Lite"
    can = (*_GAN, HasSampling)
    add("trainer", "stylegan2_lite", where, summary=what, paper="arXiv:1912.04958", can=can)
    what = "a regularized relativistic loss on residual networks without normalization"
    add("trainer", "r3gan", f"{_HERE}.r3gan:R3GAN", summary=what, paper="arXiv:2501.05441", can=_GAN)
    what = "images of a class asked for, by a discriminator that also classifies"
    can = (*_GAN, SamplesClasses, Classifies)
    add("trainer", "acgan", f"{_HERE}.acgan:ACGAN", summary=what, paper="arXiv:1610.09585", can=can)
    what = "images of a class asked for, scored as ones of that class"
    can, where = (*_GAN, SamplesClasses), f"{_HERE}.projection:ProjectionGAN"
    add("trainer", "projection_gan", where, summary=what, paper="arXiv:1802.05637", can=can)


def _losses(registry: Registrar) -> None:
    for name, target, summary, paper in (
        ("non_saturating", "NonSaturating", "cross-entropy, labels inverted for G", "arXiv:1406.2661"),
        ("hinge", "Hinge", "margins for D, the bare score for G", "arXiv:1705.02894"),
        ("least_squares", "LeastSquares", "squared distance of scores to labels", "arXiv:1611.04076"),
        ("wasserstein", "Wasserstein", "difference of mean scores", "arXiv:1701.07875"),
        ("relativistic", "Relativistic", "cross-entropy of scores in pairs", "arXiv:1807.00734"),
    ):
        registry.add("gan_loss", name, f"{_HERE}.losses:{target}", summary=summary, paper=paper)
