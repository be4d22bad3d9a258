"""What this distribution registers. Imports nothing heavy: targets are loaded when they are used."""

from pluglab.plugins.registry import Registrar

_HERE = "pluglab_autoencoder"


def lab_register(registry: Registrar) -> None:
    """The trainer `vae`, its networks and likelihoods (kinds of this plugin), and two evaluators."""
    add = registry.add
    what = "variational autoencoder: reconstructs, embeds and samples"
    add("trainer", "vae", f"{_HERE}.vae:VAE", summary=what, paper="arXiv:1312.6114")
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
