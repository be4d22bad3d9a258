"""resume: 'count' changes as it trains, and is not in state_dict()"""

from tests.testing.good import Linear


class Mine(Linear):
    def __init__(self, config, data):
        super().__init__(config, data)
        self.count = 0  # here

    def step(self, batch, progress):
        self.count += 1
        loss = self.loss(batch["train"]) * self.count
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}


def lab_register(registry):
    registry.add("trainer", "counts", Mine, summary="faulty")
