"""images: makes a tensor of shape (4, 3, 32, 32) of a batch of shape (8, 3, 32, 32)"""

from tests.testing.good import Dim


class Mine(Dim):
    def __call__(self, images, generator):  # here
        return images[::2]


def lab_register(registry):
    registry.add("transform", "fewer_images", Mine, summary="faulty")
