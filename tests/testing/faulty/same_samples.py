"""sample: draws the same images from another generator"""

import torch

from tests.testing.good import Drawer


class Mine(Drawer):
    def sample(self, n, labels, generator):  # here
        return super().sample(n, labels, torch.Generator().manual_seed(0))


def lab_register(registry):
    registry.add("trainer", "same_samples", Mine, summary="faulty")
