"""translate: images are in [-1, 1]"""

from pluglab import Role
from tests.testing.good import Linear


class Mine(Linear):
    roles = (Role("train", labels="required"), Role("other"))
    translations = (("train", "other"),)

    def translate(self, images, role, to):  # here
        return images + 1


def lab_register(registry):
    registry.add("trainer", "translates_beyond", Mine, summary="faulty")
