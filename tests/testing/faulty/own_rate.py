"""rates: it moves weights though its rate is 0"""

import torch


class Mine(torch.optim.SGD):  # here
    def __init__(self, params, lr: float = 0.1):
        super().__init__(params, lr)
        self.rate = lr

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(self.rate * parameter.grad)


def lab_register(registry):
    registry.add("optimizer", "own_rate", Mine, summary="faulty")
