"""processes: two processes train another 'net.2.weight' than one"""

import torch.nn.functional as F

from tests.testing.good import Linear


class Mine(Linear):
    def step(self, batch, progress):  # here
        images, labels = batch["train"].images, batch["train"].labels
        losses = F.cross_entropy(self.net(images), labels, reduction="none")
        loss = losses.max()
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}


def lab_register(registry):
    registry.add("trainer", "hardest_of_share", Mine, summary="faulty")
