"""settings: step changes whether gradients are recorded for everyone"""

import torch

from tests.testing.good import Linear


class Mine(Linear):
    def step(self, batch, progress):  # here
        torch.set_grad_enabled(True)
        logs = super().step(batch, progress)
        torch.set_grad_enabled(False)
        return logs


def lab_register(registry):
    registry.add("trainer", "gradients_off", Mine, summary="faulty")
