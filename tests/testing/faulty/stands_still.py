"""steps: it leaves the first group of parameters as it is"""

import torch


class Mine(torch.optim.SGD):  # here
    def __init__(self, params, lr: float = 0.1):
        super().__init__(params, lr)

    def step(self, closure=None):
        """Does nothing."""


def lab_register(registry):
    registry.add("optimizer", "stands_still", Mine, summary="faulty")
