"""Variational autoencoders, and what is asked of models with a latent space.

What other plugins build on is named here; docs/building.md says how.
"""

from typing import TYPE_CHECKING

from pluglab import lazily

__all__ = [
    "Likelihood",
    "TraversesLatents",
    "WeighsImportance",
]

if TYPE_CHECKING:
    from pluglab_autoencoder.capabilities import TraversesLatents as TraversesLatents
    from pluglab_autoencoder.capabilities import WeighsImportance as WeighsImportance
    from pluglab_autoencoder.likelihoods import Likelihood as Likelihood
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            **dict.fromkeys(("TraversesLatents", "WeighsImportance"), "pluglab_autoencoder.capabilities"),
            **dict.fromkeys(("Likelihood",), "pluglab_autoencoder.likelihoods"),
        },
    )
