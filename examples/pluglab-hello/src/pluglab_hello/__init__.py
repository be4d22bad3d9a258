"""An example plugin for pluglab: the names that it adds. Light to import: targets load when they are used."""

from pluglab.plugins.registry import Registrar


def lab_register(registry: Registrar) -> None:
    registry.add("dataset", "shapes", "pluglab_hello.hello:Shapes", summary="drawn squares, discs, crosses")
    registry.add("trainer", "perceptron", "pluglab_hello.hello:Perceptron", summary="one hidden layer")
