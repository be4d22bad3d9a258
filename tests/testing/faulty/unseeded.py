"""twice: two trainings from one seed differ"""

import numpy as np

from tests.testing.good import Linear


class Mine(Linear):
    def step(self, batch, progress):  # here
        noise = np.random.default_rng().normal()
        loss = self.loss(batch["train"]) * float(noise)
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}


def lab_register(registry):
    registry.add("trainer", "unseeded", Mine, summary="faulty")
