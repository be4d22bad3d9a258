"""embed: must return features"""

from tests.testing.good import Linear


class Mine(Linear):
    def embed(self, images, role):  # here
        return images


def lab_register(registry):
    registry.add("trainer", "flat_features", Mine, summary="faulty")
