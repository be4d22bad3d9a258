"""Adversarial generators: DCGAN, SN-GAN, SAGAN, StyleGAN2-lite, ACGAN.

What other plugins build on is named here; docs/building.md says how.
"""

from typing import TYPE_CHECKING

from pluglab import lazily

__all__ = [
    "AdversarialLoss",
    "GANOptions",
    "GANTrainer",
    "diversity",
]

if TYPE_CHECKING:
    from pluglab_gan.base import GANTrainer as GANTrainer
    from pluglab_gan.base import diversity as diversity
    from pluglab_gan.losses import AdversarialLoss as AdversarialLoss
    from pluglab_gan.options import GANOptions as GANOptions
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(("GANTrainer", "diversity"), "pluglab_gan.base"),
            **dict.fromkeys(("AdversarialLoss",), "pluglab_gan.losses"),
            **dict.fromkeys(("GANOptions",), "pluglab_gan.options"),
        },
    )
