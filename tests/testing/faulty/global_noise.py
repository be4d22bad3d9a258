"""sample: sample draws from a global random generator"""

import torch

from tests.testing.good import Drawer


class Mine(Drawer):
    def sample(self, n, labels, generator):  # here
        return self.net(torch.randn(n, 4)).unflatten(1, self.size)


def lab_register(registry):
    registry.add("trainer", "global_noise", Mine, summary="faulty")
