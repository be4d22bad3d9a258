"""An example plugin for pluglab: the names that it adds. Light to import: targets load when they are used."""

from pluglab import Classifies, Registrar


def lab_register(registry: Registrar) -> None:
    add, module = registry.add, "pluglab_hello.hello"
    add("dataset", "shapes", f"{module}:Shapes", summary="drawn squares, discs, crosses")
    add("trainer", "perceptron", f"{module}:Perceptron", summary="one hidden layer", can=[Classifies])
