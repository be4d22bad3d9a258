"""SN-GAN: spectral normalization for adversarial networks (Miyato et al. 2018, arXiv:1802.05957)."""

from __future__ import annotations

from typing import Annotated

from pluglab.components import Component, Reference, named
from pluglab_gan.dcgan import DCGAN


class SNGAN(DCGAN):
    """DCGAN whose D is 1-Lipschitz: every weight is divided by its largest singular value (eq. 8).

    Its D has no batch norm, which would scale the weights up again.
    """

    class Config(DCGAN.Config):
        loss: Annotated[Component, Reference("gan_loss")] = named("hinge")
        """What D and G descend; label smoothing, soft labels and flips are options of `non_saturating`."""
        batch_norm: bool = False
        """Batch norm in D; G always has it."""
        spectral_norm: bool = True
        """Divide D's weights by their largest singular value (Miyato et al. 2018)."""
