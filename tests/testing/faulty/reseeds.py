"""random numbers: step seeds torch's global random generator"""

import torch

from tests.testing.good import Linear


class Mine(Linear):
    def step(self, batch, progress):  # here
        torch.manual_seed(progress.step)
        return super().step(batch, progress)


def lab_register(registry):
    registry.add("trainer", "reseeds", Mine, summary="faulty")
