"""labels: step fails where 'train' has no labels, which are optional"""

from torch.nn.functional import cross_entropy

from pluglab import Role
from tests.testing.good import Linear


class Mine(Linear):
    roles = (Role("train"),)

    def loss(self, batch):
        return cross_entropy(self.net(batch.images), batch.labels)  # here


def lab_register(registry):
    registry.add("trainer", "wants_labels", Mine, summary="faulty")
