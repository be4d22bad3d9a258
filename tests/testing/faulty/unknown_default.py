"""contract: the default of 'optimizer' of trainer 'unknown_default'"""

from typing import Annotated

from pluglab import Component, Options, Reference, named
from tests.testing.good import Linear


class Mine(Linear):
    class Config(Options):
        optimizer: Annotated[Component, Reference("optimizer")] = named("adm")  # here
        """The optimizer."""


def lab_register(registry):
    registry.add("trainer", "unknown_default", Mine, summary="faulty")
