"""networks: features hands out the same network twice"""

from torch import nn


class Mine:
    out_features = 5

    def __init__(self, spec):
        pixels = spec.channels * spec.height * spec.width
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 5))

    def features(self):  # here
        return self.net

    def private_features(self):
        return self.net

    def classifier(self, classes):
        return nn.Linear(5, classes)

    def discriminator(self):
        return nn.Linear(5, 1)


def lab_register(registry):
    registry.add("encoder", "one_network", Mine, summary="faulty")
