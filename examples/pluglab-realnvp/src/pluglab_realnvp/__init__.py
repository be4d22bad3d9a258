"""Real NVP for pluglab. Light to import: what is registered is loaded when it is used."""

from pluglab import Generates, Registrar, Samples

PAPER = "arXiv:1605.08803"


def lab_register(registry: Registrar) -> None:
    add, here = registry.add, "pluglab_realnvp"
    what, can = "normalizing flow: exact likelihoods", [Samples, Generates]
    add("trainer", "realnvp", f"{here}.realnvp:RealNVP", summary=what, paper=PAPER, can=can)
    what = "bits that a model needs for a value of an image"
    add("evaluator", "bits_per_dim", f"{here}.bits:BitsPerDim", summary=what, paper=PAPER)
