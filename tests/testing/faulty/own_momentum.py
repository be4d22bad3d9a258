"""state: six steps are not three, saved, loaded and three more"""

import torch


class Mine(torch.optim.SGD):  # here
    def __init__(self, params, lr: float = 0.1):
        super().__init__(params, lr)
        self.taken = 0

    def step(self, closure=None):
        self.taken += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.sub_(group["lr"] / self.taken * parameter.grad)


def lab_register(registry):
    registry.add("optimizer", "own_momentum", Mine, summary="faulty")
