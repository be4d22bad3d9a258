"""sample: draws a tensor of torch.uint8"""

from tests.testing.good import Drawer


class Mine(Drawer):
    def sample(self, n, labels, generator):  # here
        return (super().sample(n, labels, generator) * 127 + 128).byte()


def lab_register(registry):
    registry.add("trainer", "bytes_sampled", Mine, summary="faulty")
