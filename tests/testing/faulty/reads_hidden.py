"""step: step reads the labels of 'target', which are hidden from it"""

from torch.nn.functional import cross_entropy

from pluglab import Role
from tests.testing.good import Linear


class Mine(Linear):
    roles = (Role("train", labels="required"), Role("target", labels="hidden"))

    def loss(self, batch):
        return cross_entropy(self.net(batch.images), batch.labels)  # here

    def step(self, batch, progress):
        target = batch["target"]
        loss = self.loss(batch["train"]) + self.loss(target)
        self.update(self.optimizer, loss)
        return {"loss": loss.detach()}


def lab_register(registry):
    registry.add("trainer", "reads_hidden", Mine, summary="faulty")
