"""CycleGAN for pluglab. Light to import: what is registered is loaded when it is used."""

from pluglab import Registrar, Translates


def lab_register(registry: Registrar) -> None:
    add, here = registry.add, "pluglab_cyclegan"
    what, paper = "translation between two kinds of images, without pairs", "arXiv:1703.10593"
    add("trainer", "cyclegan", f"{here}.cyclegan:CycleGAN", summary=what, paper=paper, can=[Translates])
    add("dataset", "inked", f"{here}.inked:Inked", summary="any gray data set, written in ink on paper")
