"""What this distribution registers. Imports nothing heavy: targets are loaded when they are used."""

from pluglab.plugins.registry import Registrar

_HERE = "pluglab_gan"


def lab_register(registry: Registrar) -> None:
    """Trainers of adversarial generators, and the losses that they share (kind `gan_loss`)."""
    _trainers(registry)
    _losses(registry)


def _trainers(registry: Registrar) -> None:
    add = registry.add
    what = "transposed convolutions against convolutions"
    add("trainer", "dcgan", f"{_HERE}.dcgan:DCGAN", summary=what, paper="arXiv:1511.06434")
    what = "DCGAN whose discriminator is Lipschitz by spectral normalisation"
    add("trainer", "sngan", f"{_HERE}.sngan:SNGAN", summary=what, paper="arXiv:1802.05957")
    what = "spectral normalisation and self-attention in both networks"
    add("trainer", "sagan", f"{_HERE}.sagan:SAGAN", summary=what, paper="arXiv:1805.08318")
    what, where = "styles in every layer, two lazy regularisers", f"{_HERE}.stylegan2:StyleGAN2Lite"
    add("trainer", "stylegan2_lite", where, summary=what, paper="arXiv:1912.04958")
    what = "images of a class asked for, by a discriminator that also classifies"
    add("trainer", "acgan", f"{_HERE}.acgan:ACGAN", summary=what, paper="arXiv:1610.09585")


def _losses(registry: Registrar) -> None:
    for name, target, summary, paper in (
        ("non_saturating", "NonSaturating", "cross-entropy, labels inverted for G", "arXiv:1406.2661"),
        ("hinge", "Hinge", "margins for D, the bare score for G", "arXiv:1705.02894"),
        ("least_squares", "LeastSquares", "squared distance of scores to labels", "arXiv:1611.04076"),
        ("wasserstein", "Wasserstein", "difference of mean scores", "arXiv:1701.07875"),
    ):
        registry.add("gan_loss", name, f"{_HERE}.losses:{target}", summary=summary, paper=paper)
