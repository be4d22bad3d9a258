"""generator: it draws from a global random generator"""

import torch

from tests.testing.good import Dim


class Mine(Dim):
    random = True

    def __call__(self, images, generator):  # here
        return images + torch.randn(images.shape)


def lab_register(registry):
    registry.add("transform", "random_elsewhere", Mine, summary="faulty")
