"""random: it depends on its generator and says that it is not random"""

import torch

from tests.testing.good import Dim


class Mine(Dim):
    def __call__(self, images, generator):  # here
        return images + torch.randn(images.shape, generator=generator)


def lab_register(registry):
    registry.add("transform", "random_unsaid", Mine, summary="faulty")
