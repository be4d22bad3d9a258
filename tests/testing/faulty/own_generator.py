"""resume: 'noise' changes as it trains, and is not in state_dict()"""

import torch

from tests.testing.good import Linear


class Mine(Linear):
    def __init__(self, config, data):
        super().__init__(config, data)
        self.noise = torch.Generator().manual_seed(0)  # here

    def step(self, batch, progress):
        loss = self.loss(batch["train"]) * torch.rand((), generator=self.noise)
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}


def lab_register(registry):
    registry.add("trainer", "own_generator", Mine, summary="faulty")
