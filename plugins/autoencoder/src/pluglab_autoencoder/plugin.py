"""What this distribution registers. Imports nothing heavy: targets are loaded when they are used."""

from pluglab import Registrar
from pluglab.capabilities import Embeds, Generates, HasNetworks, Reconstructs, Samples

_HERE = "pluglab_autoencoder"


def lab_register(registry: Registrar) -> None:
    """The trainer `vae`, its networks and likelihoods (kinds of this plugin), and two evaluators."""
    add, kind = registry.add, registry.kind
    kind("autoencoder", protocol=f"{_HERE}.networks:Autoencoder", summary="an encoder and a decoder")
    kind("likelihood", protocol=f"{_HERE}.likelihoods:Likelihood", summary="p(x|z) of an image's values")
    what = "variational autoencoder: reconstructs, embeds and samples"
    can = (Samples, Generates, Reconstructs, Embeds, HasNetworks)
    add("trainer", "vae", f"{_HERE}.vae:VAE", summary=what, paper="arXiv:1312.6114", can=can)
    what = "strided convolutions down to 4 x 4 and back"
    add("autoencoder", "convolutional", f"{_HERE}.networks:Convolutional", summary=what)
    what = "normal values around the reconstruction, of learned or fixed variance"
    add("likelihood", "gaussian", f"{_HERE}.likelihoods:Gaussian", summary=what, paper="arXiv:2006.13202")
    what = "cross-entropy of values in [0, 1]"
    add("likelihood", "bernoulli", f"{_HERE}.likelihoods:Bernoulli", summary=what)
    what = "images as one latent dimension at a time moves"
    add("evaluator", "latent_traversal", f"{_HERE}.traversal:LatentTraversal", summary=what)
    what = "a tight bound on the log-likelihood of images"
    bound = f"{_HERE}.importance:ImportanceWeightedLikelihood"
    add("evaluator", "importance_weighted_likelihood", bound, summary=what, paper="arXiv:1509.00519")
