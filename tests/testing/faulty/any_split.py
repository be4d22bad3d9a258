"""other splits: split('no_such_split') returns images"""

from tests.testing.good import Noise


class Mine(Noise):
    def split(self, name):  # here
        return super().split("train" if name == "train" else "test")


def lab_register(registry):
    registry.add("dataset", "any_split", Mine, summary="faulty")
