"""images: it makes torch.float64 of float32"""

from tests.testing.good import Dim


class Mine(Dim):
    def __call__(self, images, generator):  # here
        return images.double()


def lab_register(registry):
    registry.add("transform", "double_images", Mine, summary="faulty")
