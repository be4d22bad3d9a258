"""made: RuntimeError"""

import torch

from tests.testing.good import Linear


class Mine(Linear):
    def __init__(self, config, data):
        super().__init__(config, data)
        self.net(torch.zeros(1, 5))  # here


def lab_register(registry):
    registry.add("trainer", "wrong_size", Mine, summary="faulty")
