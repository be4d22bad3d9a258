"""made: keeps networks or optimizers in a plain list"""

from torch import nn

from tests.testing.good import Linear


class Mine(Linear):
    def __init__(self, config, data):  # here
        super().__init__(config, data)
        self.heads = [nn.Linear(2, 2)]


def lab_register(registry):
    registry.add("trainer", "listed_networks", Mine, summary="faulty")
